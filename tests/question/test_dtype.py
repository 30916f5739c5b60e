"""Unquantized weights take the type that the engine loads them in."""

from __future__ import annotations

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion

PARAMETERS = 1_557_611_200  # openai-community/gpt2-xl, stored in 32 bit


@pytest.mark.parametrize(
    ("engine", "dtype", "loaded", "width"),
    [
        ("vllm", "auto", "bf16", 2),
        ("vllm@0.8.5", "auto", "fp16", 2),
        ("vllm", "float32", "fp32", 4),
        ("sglang", "auto", "fp16", 2),
        ("transformers", "auto", "fp32", 4),
        ("transformers", "half", "fp16", 2),
    ],
)
def test_a_32_bit_checkpoint_is_cast(engine: str, dtype: str, loaded: str, width: int) -> None:
    told = llmsizer.estimate("gpt2-xl", "a100", engine=engine, dtype=dtype).to_dict()
    assert told["question"]["quantization"] == told["question"]["dtype"] == loaded
    assert told["memory"]["per_gpu"]["weights_bytes"] == pytest.approx(PARAMETERS * width, rel=0.01)


def test_dtype_casts_16_bit_checkpoints_too() -> None:
    wide = llmsizer.estimate("opt-6.7b", "a100", dtype="float32")
    usual = llmsizer.estimate("opt-6.7b", "a100")
    assert float(wide.memory.per_gpu.weights_bytes) == pytest.approx(2 * float(usual.memory.per_gpu.weights_bytes), rel=0.01)


def test_quantized_weights_stay() -> None:
    told = llmsizer.estimate("llama-3.1-8b", "a100", quantization="awq", dtype="half").to_dict()
    assert told["question"]["quantization"].startswith("awq")
    assert told["question"]["dtype"] == "fp16"


def test_an_old_device_takes_fp16() -> None:
    told = llmsizer.estimate("gpt2-xl", "t4", dtype="auto").to_dict()
    assert told["question"]["dtype"] == "fp16"
    assert [note for note in told["notes"] if note.startswith("dtype")] == [
        "dtype: fp16, as vLLM loads a checkpoint in fp32 (--dtype float32 otherwise)"
    ]


def test_contradicting_types_are_refused() -> None:
    with pytest.raises(InvalidQuestion, match="--quantization fp16 and --dtype bf16 contradict"):
        llmsizer.estimate("gpt2-xl", "a100", quantization="fp16", dtype="bf16")
