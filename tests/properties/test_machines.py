"""Splits over more devices than one machine joins go over its network."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError
from llmsizer.sizing.kernels import AcrossNodes
from llmsizer.sizing.step_time import StepClock


def estimate(model: str, hardware: str, **words: Any) -> llmsizer.Estimate:
    return llmsizer.estimate(model, hardware, **words)


def tpot(found: llmsizer.Estimate) -> float:
    assert found.latency is not None
    return float(found.latency.tpot_seconds)


def across(found: llmsizer.Estimate) -> list[AcrossNodes]:
    return [each.kernel for each in StepClock(found.case).kernels if isinstance(each.kernel, AcrossNodes)]


def test_two_machines_pay_for_the_network() -> None:
    inside, outside = (estimate("llama-3.1-405b", "h100", tensor_parallel_size=size, quantization="fp8") for size in (8, 16))
    assert not across(inside)
    assert across(outside)
    assert any("network between machines" in note for note in outside.notes)
    assert 0.4 * tpot(inside) < tpot(outside) < 2 * tpot(inside)


def test_a_larger_domain_needs_no_network() -> None:
    found = estimate("deepseek-v3", "gb200", data_parallel_size=32, enable_expert_parallel=True, concurrency=256)
    assert not across(found)
    assert not any("network" in note for note in found.notes)


def test_a_slower_network_is_slower(catalog: llmsizer.Catalog) -> None:
    fast, slow = (
        estimate("llama-3.1-70b", name, tensor_parallel_size=16, concurrency=32) for name in ("a100-sxm4-80gb", "l40s")
    )
    assert all(kernel.between.machine.bandwidth < 30e9 for found in (fast, slow) for kernel in across(found))
    assert across(slow)[0].between.machine.bandwidth < across(fast)[0].between.machine.bandwidth


def test_stages_on_several_machines_send_over_the_network() -> None:
    one = estimate("llama-3.1-70b", "h100", tensor_parallel_size=4, pipeline_parallel_size=2)
    two = estimate("llama-3.1-70b", "h100", tensor_parallel_size=8, pipeline_parallel_size=2)
    assert not across(two)
    assert one.latency is not None
    assert two.latency is not None


def test_without_a_known_network_it_is_refused() -> None:
    with pytest.raises(LlmsizerError, match="other machines"):
        estimate("llama-3.1-70b", "h20", tensor_parallel_size=16)


def test_what_crosses_is_derived() -> None:
    found = estimate("llama-3.1-405b", "h100", tensor_parallel_size=16)
    assert "between_seconds" in str(found.explain("decode.step_seconds", depth=12))
