"""What llama.cpp was built for: its own cores, by vendor, and the kernels that follow from them."""

from __future__ import annotations

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, UnknownName, UnsupportedCombination
from llmsizer.core.explain import plain

USUAL = {"rtx-3090": "cuda", "strix-halo": "hip", "m3-max": "metal", "arc-b580": "sycl", "epyc-9654@256GiB": "cpu"}
PROMPT = {"model": "llama-3.1-8b", "quantization": "Q4_K_M", "input_tokens": 512, "output_tokens": 2}


@pytest.mark.parametrize("device", USUAL)
def test_the_vendors_own_backend_is_the_usual_one(device: str, catalog: llmsizer.Catalog):
    profile = catalog.engine("llama.cpp", catalog.accelerator(device))
    assert profile.core == profile.usual_core == USUAL[device]


def test_a_backend_is_typed_after_a_plus(catalog: llmsizer.Catalog):
    device = catalog.accelerator("strix-halo")
    for typed in ("llama.cpp+vulkan", "llama.cpp@b6077+vulkan"):
        profile = catalog.engine(typed, device)
        assert (profile.core, profile.usual_core) == ("vulkan", "hip")
    assert catalog.engine("llama.cpp+vulkan", device).newest


@pytest.mark.parametrize(("typed", "error"), [
    ("llama.cpp+metal", UnsupportedCombination), ("llama.cpp+webgpu", UnknownName), ("sglang+cuda", InvalidQuestion),
])  # fmt: skip
def test_backends_that_the_device_lacks_are_refused(typed: str, error: type[Exception], catalog: llmsizer.Catalog):
    with pytest.raises(error):
        catalog.engine(typed, catalog.accelerator("rtx-3090"))


def test_kernels_follow_from_backend_and_version(catalog: llmsizer.Catalog):
    nvidia, amd = catalog.accelerator("a100"), catalog.accelerator("strix-halo")
    assert catalog.engine("llama.cpp@b3000", nvidia).product_kernels == {"gguf": "gguf/cublas"}
    assert catalog.engine("llama.cpp@b3300", nvidia).product_kernels == {}
    assert catalog.engine("llama.cpp@b7000", amd).product_kernels == {"gguf": "gguf/rocblas"}
    assert catalog.engine("llama.cpp@b7300+hip-hipblaslt", amd).product_kernels == {"gguf": "gguf/hip"}


def test_the_backend_decides_the_time_of_prompts():
    first = {}
    for name in ("hip", "hip-hipblaslt", "vulkan"):
        estimate = llmsizer.estimate(hardware="strix-halo", engine=f"llama.cpp@b6000+{name}", **PROMPT)
        first[name] = plain(estimate.speed.latency.ttft_seconds)
    assert first["hip"] > 2 * first["vulkan"] > 2 * first["hip-hipblaslt"]


def test_an_assumed_backend_is_noted():
    assumed = llmsizer.estimate(hardware="strix-halo", engine="llama.cpp", **PROMPT)
    named = llmsizer.estimate(hardware="strix-halo", engine="llama.cpp+hip", **PROMPT)
    assert any("backend: hip is assumed" in note for note in assumed.notes)
    assert not any("backend" in note for note in named.notes)
