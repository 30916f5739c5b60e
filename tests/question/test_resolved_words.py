"""What ``question`` says of the words: numbers are numbers, wherever they were typed."""

from __future__ import annotations

import llmsizer


def test_a_rate_typed_as_text_is_a_number() -> None:
    told = llmsizer.estimate("llama-3.1-8b", "h100", request_rate="0.5", concurrency="8").to_dict()["question"]  # type: ignore[arg-type]
    assert (told["request_rate"], told["concurrency"]) == (0.5, 8)
    assert llmsizer.estimate("llama-3.1-8b", "h100").to_dict()["question"]["request_rate"] is None
