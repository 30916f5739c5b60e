"""Goodput in closed form against the simulation, and its properties."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.question.classes import mix_of

PLACE = ("llama-3.1-8b", "h100")
CHAT = "chat:share=0.7,isl=600..1000,osl=100..300"
DOCS = "docs:share=0.3,isl=3000..5000,osl=100"
CASES: list[tuple[list[str], dict[str, Any]]] = [
    ([CHAT + ",ttft=90ms"], {"request_rate": 10.0}),
    ([CHAT + ",tpot=9ms"], {"request_rate": 12.0}),
    ([CHAT + ",e2e=2s"], {"request_rate": 8.0}),
    ([CHAT + ",ttft=120ms,tpot=11ms,e2e=2.5s"], {"concurrency": 32}),
    ([CHAT + ",ttft=100ms", DOCS + ",ttft=200ms"], {"request_rate": 6.0}),
    ([CHAT + ",ttft=2s,tpot=20ms"], {"request_rate": 2.0, "batching": "static"}),
    ([CHAT + ",tpot=7ms"], {"concurrency": 1, "batching": "static"}),
]


@pytest.mark.parametrize(("classes", "load"), CASES, ids=str)
def test_goodput_agrees_with_the_simulation(classes: list[str], load: dict[str, Any]) -> None:
    found = llmsizer.estimate(*PLACE, workload=mix_of(classes), **load).speed.goodput
    steady = llmsizer.simulate(*PLACE, workload=mix_of(classes), num_prompts=1500, seed=3, **load).steady()
    assert steady is not None
    assert found.share == pytest.approx(steady.goodput_requests_per_second / steady.requests_per_second, abs=0.1)


@pytest.mark.parametrize("batching", ["in-flight", "continuous", "static", "dynamic"])
def test_looser_targets_are_met_by_more(batching: str) -> None:
    def share(**times: str) -> float:
        text = ",".join([CHAT, *(f"{key}={time}" for key, time in times.items())])
        speed = llmsizer.estimate(*PLACE, workload=mix_of([text]), request_rate=3, batching=batching).speed
        assert 0 <= speed.goodput.share <= 1
        assert speed.goodput.requests_per_second == pytest.approx(speed.goodput.share * 3)
        return float(speed.goodput.share)

    for key in ("ttft", "tpot", "e2e"):
        found = [share(**{key: f"{time}ms"}) for time in (1, 5, 20, 100, 500, 2000, 10_000, 100_000)]
        assert found == sorted(found)
        assert found[0] < 0.01
        assert found[-1] > 0.99
    assert share(ttft="100ms", tpot="10ms") <= min(share(ttft="100ms"), share(tpot="10ms"))


def test_without_targets_there_is_no_goodput_and_an_overload_keeps_no_promise() -> None:
    assert llmsizer.estimate(*PLACE, workload=mix_of([CHAT]), request_rate=2).speed.goodput is None
    over = llmsizer.estimate(*PLACE, workload=mix_of([CHAT + ",ttft=10s"]), request_rate=10_000).speed.goodput
    assert over.share == 0
    assert over.requests_per_second == 0
