"""What must hold for every step time and every steady state, whatever the calibration says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.schema.deployment import Case
from llmsizer.sizing import front_end
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step, load_of

MODELS = ("llama-3.1-8b", "qwen3-32b", "gemma-3-27b", "qwen3-30b-a3b", "deepseek-v3", "qwen3-next-80b-a3b", "gpt-oss-120b")
DEVICES = ("h100", "h200", "b200", "l40s", "a100", "mi300x", "rtx-4090", "l4")
ROUNDING = 1e-9
FEW = settings(max_examples=200, deadline=None, derandomize=True)

setups = st.tuples(st.sampled_from(MODELS), st.sampled_from(DEVICES), st.sampled_from((1, 2, 4, 8)))
counts = st.integers(1, 400).map(float)
lengths = st.integers(1, 30_000).map(float)


@lru_cache(maxsize=1)
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


@lru_cache(maxsize=512)
def case_of(model: str, device: str, tensor: int, **words: Any) -> Case | None:
    """The case; None where it cannot run."""
    try:
        asked = llmsizer.estimate(model, device, tensor_parallel_size=tensor, ignore_memory=True, catalog=catalog(), **words)
    except llmsizer.LlmsizerError:
        return None
    return asked.case


def seconds_of(case: Case, step: Step) -> float:
    return float(StepClock(case).seconds(step))


@st.composite
def steps(draw: Callable[..., Any]) -> Step:
    batch, context = draw(counts), draw(lengths)
    tokens = draw(st.one_of(st.just(0.0), st.integers(1, 8192).map(float)))
    return Step(decode_batch=batch, decode_context=context, prefill_tokens=tokens,
                prefill_context=draw(lengths) if tokens else 0.0, prefill_sequences=1.0 if tokens else 0.0)  # fmt: skip


def faster(case: Case, bandwidth: float = 1.0, peak: float = 1.0, link: float = 1.0) -> Case:
    device = case.accelerator
    peaks = {name: value * peak for name, value in device.peak_dense.items()}
    known = {name: getattr(device, name) for name in ("link_bandwidth", "pcie_bandwidth")}
    links = {name: value * link for name, value in known.items() if value is not None}
    changed = replace(device, memory_bandwidth=device.memory_bandwidth * bandwidth, peak_dense=peaks, **links)
    return replace(case, accelerator=changed)


@given(setup=setups, step=steps(), factor=st.floats(1.01, 10), which=st.sampled_from(("bandwidth", "peak", "link")))
@FEW
def test_more_of_a_device_is_never_slower(setup: tuple[str, str, int], step: Step, factor: float, which: str) -> None:
    case = case_of(*setup)
    if case is not None:
        assert seconds_of(faster(case, **{which: factor}), step) <= seconds_of(case, step) * (1 + ROUNDING)


@given(setup=setups, step=steps(), factor=st.floats(0.1, 0.99))
@FEW
def test_fewer_bytes_are_never_slower(setup: tuple[str, str, int], step: Step, factor: float) -> None:
    case = case_of(*setup)
    if case is None:
        return
    load = load_of(step, case.parallel.data_parallel_size)
    for each in StepClock(case).kernels:
        kernel: Any = each.kernel
        if hasattr(kernel, "weight_bytes"):
            smaller = replace(kernel, weight_bytes=kernel.weight_bytes * factor)
        elif hasattr(kernel, "heads"):
            smaller = replace(kernel, heads=replace(kernel.heads, cache_bytes=kernel.heads.cache_bytes * factor))
        else:
            continue
        assert smaller.seconds(load) <= kernel.seconds(load) * (1 + ROUNDING), kernel.name


@given(setup=setups, step=steps(), quantization=st.sampled_from((None, "fp8")))
@FEW
def test_ideal_is_never_slower(setup: tuple[str, str, int], step: Step, quantization: str | None) -> None:
    case, ideal = case_of(*setup, quantization=quantization), case_of(*setup, quantization=quantization, calibration="ideal")
    if case is not None and ideal is not None:
        assert seconds_of(ideal, step) <= seconds_of(case, step) * (1 + ROUNDING)


@pytest.mark.parametrize("field", ["decode_batch", "decode_context", "prefill_tokens", "prefill_context"])
@given(setup=setups, step=steps(), words=st.sampled_from(({}, {"calibration": "ideal"}, {"pipeline_parallel_size": 2})))
@settings(FEW, max_examples=100)
def test_time_rises_with_work(field: str, setup: tuple[str, str, int], step: Step, words: dict[str, Any]) -> None:
    case = case_of(*setup, **words)
    if case is None:
        return
    if field.startswith("prefill"):
        step = replace(step, prefill_sequences=1.0, prefill_tokens=max(step.prefill_tokens, 1.0))
    values = np.unique(np.geomspace(1.0, 8192.0, 60).round())
    times = StepClock(case).seconds(replace(step, **{field: values}))
    assert (np.diff(times) >= -ROUNDING * times[1:]).all(), values[1:][np.diff(times) < -ROUNDING * times[1:]]


@given(setup=setups, step=steps())
@FEW
def test_a_step_keeps_each_bound(setup: tuple[str, str, int], step: Step) -> None:
    case = case_of(*setup)
    if case is None:
        return
    cost = StepClock(case).stage_cost(step)
    for each in cost.kernels:
        one, seconds = each.cost, float(each.cost.seconds) * (1 + ROUNDING)
        if one.peak is not None:
            assert seconds >= float(one.flop) / float(one.peak), one
        if one.bandwidth is not None:
            assert seconds >= float(one.bytes) / float(one.bandwidth), one
    assert float(cost.seconds) * (1 + ROUNDING) >= sum(float(each.seconds) for each in cost.kernels)
    assert float(cost.seconds) == pytest.approx(float(StepClock(case).stage_seconds(step)))


@given(model=st.sampled_from(MODELS), device=st.sampled_from(DEVICES), step=steps())
@FEW
def test_one_device_has_no_communication(model: str, device: str, step: Step) -> None:
    case = case_of(model, device, 1)
    if case is not None:
        assert "communication" not in {each.cost.kind for each in StepClock(case).stage_cost(step).kernels}


loads = st.one_of(
    st.integers(1, 600).map(lambda number: {"concurrency": number}),
    st.floats(0.05, 50).map(lambda number: {"request_rate": number}),
    st.tuples(st.floats(0.05, 50), st.integers(1, 60)).map(lambda both: {"request_rate": both[0], "concurrency": both[1]}),
)
shapes = st.fixed_dictionaries({"input_tokens": st.integers(1, 20_000), "output_tokens": st.integers(1, 2_000)})


def asked(setup: tuple[str, str, int], **words: Any) -> llmsizer.Estimate | None:
    model, device, tensor = setup
    try:
        return llmsizer.estimate(model, device, tensor_parallel_size=tensor, catalog=catalog(), **words)
    except llmsizer.LlmsizerError:
        return None


@given(setup=setups, load=loads, shape=shapes)
@FEW
def test_littles_law(setup: tuple[str, str, int], load: dict[str, Any], shape: dict[str, int]) -> None:
    estimate = asked(setup, **load, **shape)
    if estimate is None or estimate.speed is None:
        return
    speed, outside = estimate.speed, float(front_end.alone(estimate.case))
    rate = float(speed.throughput.requests_per_second)
    if "request_rate" not in load:
        assert rate * float(speed.latency.e2e_seconds) == pytest.approx(load["concurrency"], rel=1e-6)
        assert float(speed.running) + float(speed.waiting) == pytest.approx(load["concurrency"])
    else:
        assert rate * (float(speed.latency.e2e_seconds) - outside) == pytest.approx(float(speed.running), rel=1e-6)
        assert rate <= load["request_rate"] * (1 + ROUNDING)
        assert (speed.waiting > 0) == (rate < load["request_rate"] * (1 - ROUNDING))


@given(setup=setups, load=loads, shape=shapes)
@FEW
def test_operations_sum_to_the_step(setup: tuple[str, str, int], load: dict[str, Any], shape: dict[str, int]) -> None:
    estimate = asked(setup, **load, **shape)
    if estimate is None or estimate.speed is None:
        return
    for phase in (estimate.speed.prefill, estimate.speed.decode):
        assert sum(each["seconds"] for each in phase.operations) == pytest.approx(float(phase.step_seconds))
        assert sum(each["share"] for each in phase.operations) == pytest.approx(1.0)
        assert min(each["seconds"] for each in phase.operations) >= -ROUNDING * float(phase.step_seconds)


@given(setup=setups, shape=shapes)
@FEW
def test_what_does_not_fit_has_no_speed(setup: tuple[str, str, int], shape: dict[str, int]) -> None:
    estimate = asked(setup, **shape)
    if estimate is None:
        return
    assert (estimate.speed is not None) == estimate.fits
    if not estimate.fits:
        assert estimate.to_dict()["latency"] == {}
        forced = asked(setup, **shape, ignore_memory=True)
        assert forced is not None
        assert forced.speed is not None


DEPLOYMENTS = st.sampled_from((
    {}, {"pipeline_parallel_size": 2}, {"enforce_eager": True}, {"batching": "static", "concurrency": 8},
    {"batching": "continuous"}, {"engine": "sglang"}, {"engine": "llama.cpp", "quantization": "Q4_K_M", "request_rate": None},
    {"data_parallel_size": 2}, {"speculative": {"method": "ngram"}}, {"num_prompts": 700},
    {"speculative": {"method": "draft", "model": "llama-3.2-1b"}}, {"kv_cache_dtype": "fp8"}, {"prefix_cache_hit_rate": 0.5},
))  # fmt: skip


@given(setup=setups, load=loads, shape=shapes, words=DEPLOYMENTS)
@settings(FEW, max_examples=150)
def test_derived_numbers_are_the_plain_ones(
    setup: tuple[str, str, int], load: dict[str, Any], shape: dict[str, int], words: dict[str, Any]
) -> None:
    estimate = asked(setup, **(load | shape | words))
    if estimate is None or estimate.speed is None:
        return
    data = estimate.to_dict()
    for part in ("latency", "throughput", "prefill", "decode"):
        for name, number in data[part].items():
            if isinstance(number, float) and math.isfinite(number):
                assert estimate.value(f"{part}.{name}").number == pytest.approx(number, rel=1e-9), f"{part}.{name}"
