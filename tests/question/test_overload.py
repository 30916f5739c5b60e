"""More requests than can be served: no answer passes off the times without the queue as the times."""

from __future__ import annotations

from typing import Any

import llmsizer
from llmsizer.cli.main import run

WORDS: dict[str, Any] = {"hardware": "h100", "input_tokens": 2000, "output_tokens": 400}


def test_an_overloaded_estimate_says_so_everywhere() -> None:
    found = llmsizer.estimate("qwen3-30b-a3b", request_rate=8, **WORDS)
    assert any("more than the 5" in note and "grows without end" in note for note in found.notes)
    assert not any("grows" in note for note in llmsizer.estimate("qwen3-30b-a3b", request_rate=2, **WORDS).notes)


def test_side_by_side_it_has_no_first_token() -> None:
    rows = llmsizer.compare(model=["qwen3-30b-a3b", "llama-3.1-8b"], request_rate=8, **WORDS).to_rows()
    assert [row["ttft_seconds"] is None for row in rows] == [True, False]
    assert [row["e2e_seconds"] is None for row in rows] == [True, False]


def test_tables_print_that_it_grows(capsys: Any) -> None:
    words = ["-m", "qwen3-30b-a3b", "-g", "h100", "--isl", "2000", "--osl", "400"]
    assert run(["sweep", *words, "--rate", "2,8"]) == 0
    assert capsys.readouterr().out.count("grows") == 2
    assert run(["estimate", *words, "--rate", "8"]) == 0
    assert "without the wait in the queue: first token" in capsys.readouterr().out


def test_percentiles_that_hold_the_queue_are_null() -> None:
    over = llmsizer.estimate("qwen3-30b-a3b", request_rate=8, **WORDS).to_dict()["latency"]
    rows = llmsizer.sweep("qwen3-30b-a3b", request_rate=[2, 8], **WORDS).to_rows()
    for figure, endless in (("ttft", True), ("tpot", False), ("e2e", True)):
        for share in ("p50", "p90", "p95", "p99"):
            name = f"{figure}_{share}_seconds"
            assert (over[name] is None) == endless
            assert [row[f"latency.{name}"] is None for row in rows] == [False, endless]
