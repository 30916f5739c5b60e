"""What is kept on the host costs the time that the host or its link takes."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError

GGUF = {"engine": "llama.cpp", "quantization": "Q4_K_M", "input_tokens": 512, "output_tokens": 64}


def estimate(model: str = "llama-3.1-8b", hardware: str = "rtx-4090", **words: Any) -> llmsizer.Estimate:
    return llmsizer.estimate(model, hardware, **words)


def tpot(**words: Any) -> float:
    found = estimate(**words)
    assert found.latency is not None
    return float(found.latency.tpot_seconds)


def test_fewer_layers_on_the_device_are_slower() -> None:
    times = [tpot(**GGUF, offload={"gpu_layers": layers}) for layers in (33, 24, 16, 8, 0)]
    assert times == sorted(times)
    assert times[0] < times[-1] / 5


def test_all_layers_on_the_device_are_no_offload() -> None:
    assert tpot(**GGUF, offload={"gpu_layers": 33}) == pytest.approx(tpot(**GGUF), rel=1e-9)


def test_no_layers_on_the_device_take_as_long_as_the_processor_alone() -> None:
    there = llmsizer.estimate("llama-3.1-8b", "ryzen-7950x@128GiB", **GGUF).latency
    assert there is not None
    assert tpot(**GGUF, offload={"gpu_layers": 0}) == pytest.approx(there.tpot_seconds, rel=0.1)


def test_half_the_layers_read_half_the_weights_at_the_hosts_bandwidth() -> None:
    found = estimate(**GGUF, offload={"gpu_layers": 16})
    assert found.latency is not None
    least = 0.4 * 4.9e9 / 83.2e9
    assert least < found.latency.tpot_seconds < 3 * least


def test_lent_weights_cross_the_link_in_every_step() -> None:
    found = estimate("llama-3.1-8b", "h100", offload={"weights": 0.5})
    device = found.case.accelerator
    assert found.latency is not None
    assert device.pcie_bandwidth is not None
    assert found.latency.tpot_seconds >= 0.5 * 16.06e9 / device.pcie_bandwidth
    whole = estimate("llama-3.1-8b", "h100").latency
    assert whole is not None
    assert found.latency.ttft_seconds > whole.ttft_seconds


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_cache_on_the_host_is_read_there(share: float) -> None:
    words = {**GGUF, "input_tokens": 16000}
    assert tpot(**words, offload={"kv_cache": share}) > tpot(**words)


def test_experts_on_the_host_are_slower_but_fit() -> None:
    words = {"engine": "llama.cpp", "quantization": "MXFP4", "output_tokens": 64}
    assert not estimate("gpt-oss-120b", **words).fits
    few, all_ = (estimate("gpt-oss-120b", **words, offload={"expert_layers": n}) for n in (26, 36))
    assert all_.fits
    assert all_.latency is not None
    assert few.latency is None or few.latency.tpot_seconds < all_.latency.tpot_seconds


def test_a_faster_host_is_faster() -> None:
    slow, fast = (tpot(**GGUF, offload={"gpu_layers": 8, "host": host}) for host in ("ryzen-7950x@64GiB", "epyc-9755@512GiB"))
    assert fast < slow / 3


def test_the_assumed_host_is_told() -> None:
    assert any("is assumed" in note for note in estimate(**GGUF, offload={"gpu_layers": 8}).notes)
    with pytest.raises(LlmsizerError, match="ryzen"):
        estimate(**GGUF, offload={"gpu_layers": 8, "host": "ryzen-7950"})


def test_what_the_host_does_is_derived() -> None:
    found = estimate(**GGUF, offload={"gpu_layers": 16})
    assert "on the host" in str(found.explain("latency.tpot_seconds"))
    assert "weights from the host" in str(
        estimate("llama-3.1-8b", "h100", offload={"weights": 0.5}).explain("latency.tpot_seconds")
    )
