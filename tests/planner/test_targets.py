"""Targets as people write them."""

from __future__ import annotations

import pytest

from llmsizer.core.errors import LlmsizerError
from llmsizer.planner.targets import Target, preset_names, targets_of


def test_presets_are_targets() -> None:
    assert preset_names() == ["interactive", "agent", "batch"]
    assert [str(each) for each in targets_of("interactive")] == ["TTFT P95 ≤ 500 ms", "TPOT P95 ≤ 33.33 ms", "E2E P99 ≤ 5 s"]
    assert targets_of("batch") == ()


def test_reading_speed_is_a_time_per_token() -> None:
    assert targets_of({"tokens_per_second": 50}) == (Target("tpot", 0.02),)


def test_the_tighter_of_two_limits_holds() -> None:
    assert targets_of({"tpot": "40 ms", "tokens_per_second": 50}) == (Target("tpot", 0.02),)


def test_percentiles_are_apart() -> None:
    assert targets_of({"ttft_p99": "1 s", "ttft_mean": "200 ms"}) == (Target("ttft", 1.0, "p99"), Target("ttft", 0.2, "mean"))
    assert Target("ttft", 1.0, "mean").figure == "ttft_seconds"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tfft": "1 s"}, "ttft"),
        ({"ttft_p97": "1 s"}, "ttft_p9"),
        ({"ttft": 0.5}, "second"),
        ({"ttft": "5 GB"}, "second"),
        ({"ttft": "0 s"}, "above zero"),
        ("interactiv", "interactive"),
        (7, "preset"),
    ],
)
def test_mistakes_say_what_is_expected(given: object, told: str) -> None:
    with pytest.raises(LlmsizerError) as error:
        targets_of(given)
    assert told in str(error.value)
