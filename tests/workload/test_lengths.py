"""Length laws, their moments, and what they make of a running batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsizer.core.errors import InvalidQuestion
from llmsizer.formulas.workload import second_moment
from llmsizer.question.lengths import read_lengths
from llmsizer.schema.lengths import Fixed, Histogram, LengthPairs, LogNormal, Uniform
from llmsizer.schema.moments import class_moments, moments
from llmsizer.schema.workload import (
    ClosedLoop,
    Conversation,
    OpenLoop,
    PrefixGroups,
    RequestClass,
    Targets,
    TraceTimes,
    Traffic,
    simple_traffic,
)
from llmsizer.simulation.requests import Draws, drawn_sessions

laws = st.one_of(
    st.builds(Fixed, st.integers(1, 5000)),
    st.builds(lambda low, more: Uniform(low, low + more), st.integers(1, 3000), st.integers(0, 3000)),
    st.builds(
        LogNormal,
        mean_tokens=st.floats(2, 5000),
        variation=st.floats(0.1, 3),
        maximum=st.one_of(st.none(), st.integers(10, 9000)),
    ),
    st.lists(st.tuples(st.integers(1, 4000), st.floats(0.01, 10)), min_size=1, max_size=20).map(
        lambda rows: Histogram(*zip(*rows, strict=True))
    ),
)


@settings(max_examples=100, deadline=None)
@given(law=laws)
def test_moments_agree_with_the_support(law):
    values, weights = law.support()
    assert weights.sum() == pytest.approx(1)
    assert np.all(np.diff(values) > 0)
    assert np.all(values == np.rint(values))
    assert law.mean() == pytest.approx(float(values @ weights), rel=1e-9)
    assert law.second_moment() == pytest.approx(float(values**2 @ weights), rel=1e-9)


@pytest.mark.parametrize(("mean", "variation"), [(1000.0, 0.5), (300.0, 1.5), (4000.0, 1.0)])
def test_a_lognormal_law_has_the_moments_asked_for(mean, variation):
    law = LogNormal(mean_tokens=mean, variation=variation)
    assert law.mean() == pytest.approx(mean, rel=1e-3)
    assert law.second_moment() == pytest.approx(second_moment(mean, variation), rel=5e-3)


def test_a_wide_range_is_binned_without_losing_its_mean():
    assert Uniform(1, 1_000_000).support()[0].size < 5000
    values, weights = Uniform(1, 1_000_000).support()
    assert float(values @ weights) == pytest.approx(500_000.5, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(law=laws, answers=laws, seed=st.integers(0, 99))
def test_decode_context_is_the_mean_over_all_decode_steps(law, answers, seed):
    traffic = simple_traffic(OpenLoop(requests_per_second=1), law, answers)
    drawn = [s[0] for s in drawn_sessions(traffic, 20000, Draws(seed))]
    inputs, outputs = (np.array([getattr(r, name) for r in drawn], dtype=float) for name in ("input_tokens", "output_tokens"))
    found = moments(traffic)
    spread = 6 / np.sqrt(20000)
    assert inputs.mean() == pytest.approx(found.input_mean, abs=spread * (inputs.std() + 1))
    steps = outputs - 1
    if steps.sum() and answers.mean() > 1.5:
        context = (steps * inputs + steps * (steps - 1) / 2).sum() / steps.sum()
        assert context == pytest.approx(found.decode_context(), rel=0.25)
    pairs = LengthPairs(tuple(int(i) for i in inputs), tuple(int(o) for o in outputs))
    exact = class_moments(RequestClass(pairs=pairs))
    if steps.sum():
        assert exact.decode_context() == pytest.approx(context if answers.mean() > 1.5 else exact.decode_context(), rel=1e-9)


def test_the_continuous_form_is_close_for_long_answers():
    found = moments(simple_traffic(ClosedLoop(concurrency=1), Uniform(500, 1500), LogNormal(mean_tokens=400, variation=1)))
    assert found.length_biased_context() == pytest.approx(found.decode_context(), rel=0.005)
    naive = found.input_mean + found.output_mean / 2
    assert found.decode_context() > naive + 150  # long answers are met more often


def test_conversations_carry_their_history():
    kind = RequestClass(
        input_tokens=Uniform(50, 150), output_tokens=Uniform(20, 80), sharing=Conversation(turns=4, shared_tokens=200)
    )
    drawn = drawn_sessions(Traffic(arrivals=OpenLoop(requests_per_second=1), classes=(kind,)), 40000, Draws(1))
    inputs = np.array([r.input_tokens for session in drawn for r in session], dtype=float)
    outputs = np.array([r.output_tokens for session in drawn for r in session], dtype=float)
    found = class_moments(kind)
    assert inputs.mean() == pytest.approx(found.input_mean, rel=0.01)
    assert (inputs**2).mean() == pytest.approx(found.input_second_moment, rel=0.01)
    assert (inputs * outputs).mean() == pytest.approx(found.product_mean, rel=0.01)


def test_shares_weigh_sessions():
    chat = RequestClass(name="chat", share=1, input_tokens=Fixed(10), output_tokens=Fixed(10), sharing=Conversation(turns=3))
    batch = RequestClass(name="batch", share=3, input_tokens=Fixed(1000), output_tokens=Fixed(10))
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=1), classes=(chat, batch))
    drawn = [r for session in drawn_sessions(traffic, 30000, Draws(0)) for r in session]
    assert len(drawn) == 30000
    assert sum(r.kind for r in drawn) / 30000 == pytest.approx(0.5, abs=0.02)
    assert moments(traffic).input_mean == pytest.approx((10 + 30 + 50) / 6 + 500, rel=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fixed(0),
        lambda: Fixed(1.5),
        lambda: Fixed(True),
        lambda: Uniform(5, 4),
        lambda: Uniform(0, 4),
        lambda: LogNormal(mean_tokens=100, variation=0),
        lambda: LogNormal(mean_tokens=float("nan"), variation=1),
        lambda: LogNormal(mean_tokens=100, variation=1, minimum=10, maximum=9),
        lambda: Histogram((), ()),
        lambda: Histogram((1, 2), (1.0,)),
        lambda: Histogram((1,), (-1.0,)),
        lambda: Histogram((1,), (float("nan"),)),
        lambda: LengthPairs((1, 2), (1,)),
        lambda: OpenLoop(requests_per_second=0),
        lambda: ClosedLoop(concurrency=0),
        lambda: OpenLoop(requests_per_second=float("inf")),
        lambda: PrefixGroups(tokens=1, groups=0),
        lambda: Targets(ttft_seconds=0),
        lambda: Traffic(arrivals=TraceTimes()),
        lambda: Traffic(arrivals=ClosedLoop(concurrency=1), classes=()),
        lambda: Traffic(arrivals=ClosedLoop(concurrency=1), classes=(RequestClass(), RequestClass())),
        lambda: Traffic(arrivals=ClosedLoop(concurrency=1), result_cache_hit_rate=1.0),
        lambda: RequestClass(share=0),
        lambda: Conversation(turns=0),
        lambda: OpenLoop(requests_per_second=1, max_concurrency=0),
        lambda: TraceTimes(speed=0),
    ],
)
def test_impossible_workloads_are_refused(wrong):
    with pytest.raises(InvalidQuestion):
        wrong()


def test_a_trace_is_no_file_of_lengths(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrival,input,output\n0,100,10\n1,200,20\n")
    with pytest.raises(InvalidQuestion, match="3 columns, but expected tokens and weight"):
        read_lengths("input_tokens", str(path))
