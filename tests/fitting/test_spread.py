"""Widths of the intervals: percentiles of what was left out, wider for few groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numpy")
pytest.importorskip("scipy")

from llmsizer.authoring.fit.spread import (
    Residual,
    elsewhere_rows,
    few_groups,
    interval,
    predicted,
    spread_rows,
)

LOGS = st.lists(st.floats(-1.0, 1.0), min_size=30, max_size=60)


def residuals(logs: list[float], groups: int, engine: str = "vllm") -> list[Residual]:
    return [Residual("tpot", (engine, f"model {place % groups}", "h100"), log) for place, log in enumerate(logs)]


def test_few_groups_widen_and_many_hardly() -> None:
    factors = [few_groups(number) for number in (2, 4, 10, 100)]
    assert factors == sorted(factors, reverse=True)
    assert factors[1] == pytest.approx(1.43, abs=0.01)
    assert factors[-1] == pytest.approx(1.01, abs=0.01)


@given(logs=LOGS)
def test_an_interval_holds_its_estimate_and_widens_with_fewer_groups(logs: list[float]) -> None:
    few, many = predicted(residuals(logs, 4)), predicted(residuals(logs, 15))
    assert few[0] <= many[0] < 0 < many[1] <= few[1]
    assert interval(logs)[0] < 0 < interval(logs)[1]


def test_an_engine_has_widths_of_its_own_from_four_groups_on() -> None:
    logs = [place / 100 for place in range(-20, 20)]
    found = spread_rows([*residuals(logs, 4), *residuals(logs, 3, "sglang")])
    assert [(row["engine"], row["n"], row["groups"]) for row in found] == [("vllm", 40, 4), (None, 80, 7)]


def test_devices_without_curves_have_wider_intervals() -> None:
    logs = [place / 100 for place in range(-20, 20)]
    every = [each for quantity in ("tpot", "ttft", "throughput") for each in _named(quantity, logs)]
    for row in elsewhere_rows(every):
        assert row["low"] <= -0.25
        assert row["high"] >= 0.25


def _named(quantity: str, logs: list[float]) -> list[Residual]:
    return [Residual(quantity, each.group, each.log) for each in residuals(logs, 5)]
