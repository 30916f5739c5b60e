"""Names in logs and what the catalog calls the same thing."""

from __future__ import annotations

import pytest

import llmsizer
from llmsizer.core.quantities import GIB
from llmsizer.doctor.names import devices_of_size, find_device, find_model, scheme_of


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm5-80gb"),
        ("NVIDIA H100 PCIe", "h100-pcie-80gb"),
        ("NVIDIA H100 NVL", "h100-nvl-94gb"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm4-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 3090 Ti", "rtx-3090-ti"),
        ("NVIDIA H200", "h200-sxm5-141gb"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("AMD Instinct MI300X OAM", "mi300x"),
        ("Apple M2 Max", "apple-m2-max"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA GeForce RTX 5070 Ti", None),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", None),
        ("Voodoo 3", None),
        ("", None),
    ],
)
def test_devices(catalog: llmsizer.Catalog, printed: str, found: str | None) -> None:
    device = find_device(printed, catalog)
    assert (device.id if device else None) == found


def test_the_printed_total_decides_between_sizes(catalog: llmsizer.Catalog) -> None:
    device = find_device("NVIDIA A100", catalog, 39.5 * GIB)
    assert device is not None
    assert device.id == "a100-sxm4-40gb"
    assert "t4" in devices_of_size(14.7 * GIB, catalog)


@pytest.mark.parametrize(
    ("printed", "found", "scheme"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B", None),
        ("/root/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/0123abc", "Qwen/Qwen3-8B", None),
        ("/srv/models/Qwen2.5-7B-Instruct-AWQ/", "Qwen/Qwen2.5-7B", "awq"),
        ("Meta-Llama-3-8B-Instruct-Q4_K_M.gguf", "meta-llama/Meta-Llama-3-8B", None),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "meta-llama/Llama-3.1-8B", "w4a16"),
        ("somebody_Qwen3-32B-UD-Q4_K_XL", "Qwen/Qwen3-32B", None),
        ("C:\\models\\Qwen3 14B", "Qwen/Qwen3-14B", None),
        ("unsloth/gpt-oss-20b-BF16", "openai/gpt-oss-20b", "bf16"),
    ],
)
def test_models(catalog: llmsizer.Catalog, printed: str, found: str, scheme: str | None) -> None:
    model = find_model([printed], catalog)
    assert model is not None
    assert (model.id, model.quantization) == (found, scheme)


def test_an_unknown_model(catalog: llmsizer.Catalog) -> None:
    assert find_model(["/models/target", "", "---", "x" * 5000], catalog) is None


@pytest.mark.parametrize(
    ("method", "said", "expected"),
    [
        (None, "awq", ("awq", True)),
        (None, None, (None, False)),
        ("none", "fp8", (None, True)),
        ("fp8", "fp8_channel", ("fp8_channel", True)),
        ("awq_marlin", None, ("awq-4bit-g128", True)),
        ("compressed-tensors", None, (None, False)),
        ("compressed-tensors", "nvfp4", ("nvfp4", True)),
        ("modelopt_fp4", None, ("nvfp4", True)),
        ("something_new", None, (None, False)),
    ],
)
def test_schemes(method: str | None, said: str | None, expected: tuple[str | None, bool]) -> None:
    assert scheme_of(method, said) == expected
