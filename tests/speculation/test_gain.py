"""Up to which batch speculation pays: against the step times themselves, and where it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import llmsizer
from llmsizer.core.explain import plain
from llmsizer.planner.advice.advise import advise
from llmsizer.question.words import Words
from llmsizer.report.speed import speculation_lines
from llmsizer.sizing.speculation_gain import gain_of

WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "max_model_len": 4096}


def gains(acceptance: float, **words: Any) -> Any:
    estimate = llmsizer.estimate(**{**WORDS, **words}, speculative={"method": "eagle3", "acceptance": acceptance})
    return estimate, estimate.speculation


@settings(max_examples=15)
@given(lower=some.floats(0.0, 1.0), higher=some.floats(0.0, 1.0))
def test_more_that_stands_pays_longer(lower: float, higher: float) -> None:
    lower, higher = sorted((lower, higher))
    assert gains(lower)[1].most_batch <= gains(higher)[1].most_batch
    assert gains(lower)[1].gain <= gains(higher)[1].gain


def test_it_pays_up_to_where_it_says() -> None:
    estimate, found = gains(0.25)
    assert 1 < found.most_batch < estimate.case.max_num_seqs
    at, beyond = gain_of(estimate.case, found.most_batch), gain_of(estimate.case, found.most_batch + 1)
    assert at is not None
    assert beyond is not None
    assert at.gain > 1 >= beyond.gain


def test_nothing_that_stands_never_pays() -> None:
    _, found = gains(0.0)
    assert (found.most_batch, found.always_pays) == (0, False)
    assert "pays at no batch" in found.reach


def test_the_gain_is_the_ratio_of_two_estimates() -> None:
    plainly = llmsizer.estimate(**WORDS)
    estimate, found = gains(0.7)
    assert plainly.latency is not None
    ratio = float(plain(plainly.latency.tpot_seconds)) / float(plain(estimate.latency.tpot_seconds))
    assert found.gain == pytest.approx(ratio, rel=0.02)


def test_it_is_shown() -> None:
    estimate, found = gains(0.7)
    (line,) = speculation_lines(estimate)
    assert found.reach in line
    assert estimate.to_dict()["speculation"]["most_batch"] == found.most_batch
    assert "speculation" not in llmsizer.estimate(**WORDS).to_dict()


def test_advice_says_how_far_it_pays(catalog: llmsizer.Catalog) -> None:
    effects = {each.technique.id: each for each in advise(Words(**WORDS), catalog).effects}
    note = effects["draft_speculation"].change.note
    assert "pays" in note
    assert "guesses: accepted as published" in note
