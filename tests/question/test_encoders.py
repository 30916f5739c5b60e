"""Models that read an encoder's tokens, and encoders that write none."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import UnsupportedCombination

HIDDEN, LAYERS, VOCABULARY, ENCODER = 1280, 32, 51866, 1500  # openai/whisper-large-v3


def whisper(concurrency: int) -> dict[str, Any]:
    words: dict[str, Any] = {"input_tokens": 4, "output_tokens": 100, "concurrency": concurrency}
    return llmsizer.estimate("whisper-large-v3", "a10g", **words).to_dict()


@pytest.mark.parametrize("concurrency", [1, 32])
def test_cross_attention_reads_the_encoder_tokens_of_every_sequence(concurrency: int) -> None:
    told = whisper(concurrency)
    batch = told["load"]["decode_batch"]
    weights = LAYERS * 14 * HIDDEN**2 + VOCABULARY * HIDDEN  # 4 of self-attention, 2 of cross-attention, 8 of the MLP
    keys = 4 + 100 / 2 + ENCODER
    assert told["decode"]["flop"] == pytest.approx(batch * (2 * weights + LAYERS * 4 * HIDDEN * keys), rel=1e-3)
    assert told["decode"]["bytes"] == pytest.approx(2 * weights + batch * LAYERS * 2 * HIDDEN * 2 * keys, rel=0.02)


def test_every_sequence_keeps_keys_and_values_of_the_encoder() -> None:
    assert whisper(1)["memory"]["state_bytes_per_sequence"] == LAYERS * ENCODER * 2 * HIDDEN * 2


def test_the_encoder_output_is_projected_once_a_request() -> None:
    told = whisper(1)
    once = {each["name"]: each["flop"] for each in told["prefill"]["operations"]}
    assert once["encoder_kv_proj"] == pytest.approx(2 * LAYERS * ENCODER * 2 * HIDDEN**2)
    assert "encoder_kv_proj" not in {each["name"] for each in told["decode"]["operations"]}


def test_what_the_times_leave_out_is_said() -> None:
    assert any("encoder's own pass is not in the times" in note for note in whisper(1)["notes"])
    assert any("times are of text" in note for note in llmsizer.estimate("qwen2.5-vl-7b", "l40s").notes)
    assert not llmsizer.estimate("llama-3.1-8b", "l40s", max_model_len=8192).notes


def test_an_encoder_generates_nothing() -> None:
    with pytest.raises(UnsupportedCombination, match="is an encoder: it generates no tokens"):
        llmsizer.estimate("bge-large-en-v1.5", "l4")
