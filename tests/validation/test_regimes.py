"""Errors are told by regime, with narrow intervals marked and large errors explained where a cause is known."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest

import llmsizer
from llmsizer.report.validation import cause_table, regime_table, regime_worst_table
from llmsizer.validation.causes import causes, with_causes
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.regimes import phase_of, regimes
from llmsizer.validation.run_rows import recorded_files
from llmsizer.validation.speed_rows import judged
from llmsizer.validation.statistics import ErrorRow

LOAD = "TPOT under load"


def rows(errors: Sequence[float], inside: int = 0, hardware: str = "h100-sxm5-80gb", role: str = "validate") -> list[ErrorRow]:
    return [
        ErrorRow(LOAD, f"row-{n}", "g", role, 1 + error, 1.0, error, inside=n < inside, engine="vllm", hardware=hardware)
        for n, error in enumerate(errors)
    ]


@pytest.fixture(scope="module")
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


def test_devices_of_one_architecture_are_one_regime(catalog: llmsizer.Catalog):
    found = regimes(
        [*rows([0.1, 0.2]), *rows([0.3], hardware="h200-sxm5-141gb"), *rows([0.4], hardware="my-box"), *rows([9], role="fit")],
        catalog,
    )
    assert [(each.phase, each.engine, each.device_class, each.summary.count) for each in found] == [
        ("decode", "vllm", "hopper", 3), ("decode", "vllm", "my-box", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "inside", "narrow"), [(20, 12, True), (20, 13, False), (19, 2, False)])
def test_intervals_that_hold_too_few_are_marked(catalog: llmsizer.Catalog, count: int, inside: int, narrow: bool):
    found = regimes(rows([0.2] * count, inside), catalog)
    assert [each.is_narrow for each in found] == [narrow]
    assert ("too narrow" in regime_table(found).rows[0]) == narrow


@pytest.mark.parametrize(
    ("quantity", "phase"),
    [
        (LOAD, "decode"), ("TTFT under load, queue-bound", "prefill"), ("llama.cpp prompt", "prefill"),
        ("llama.cpp token generation", "decode"), ("throughput at maximum load", "both"), ("weights per GPU", "memory"),
        ("KV pool / device memory", "memory"), ("latency of a batch of 1 to 8", "decode"),
    ],
)  # fmt: skip
def test_the_phase_of_a_quantity(quantity: str, phase: str):
    assert phase_of(quantity) == phase


def test_large_errors_get_the_cause_that_names_them(catalog: llmsizer.Catalog):
    named = ErrorRow("llama.cpp prompt", "local-0001", "g", "validate", 2, 1, 1.0)
    low, small = ErrorRow(*_fields(named, error=-0.5)), ErrorRow(*_fields(named, error=0.05))
    own = ErrorRow(*_fields(named), cause="its own")
    with_cause, without, tiny, kept = with_causes([named, low, small, own])
    assert "drivers" in with_cause.cause
    assert (without.cause, tiny.cause, kept.cause) == ("", "", "its own")
    table = cause_table([with_cause, without, tiny])
    assert [row[1] for row in table.rows] == ["1", "1"]
    assert with_cause.cause in regime_worst_table(regimes([with_cause], catalog)).rows[0]


def _fields(row: ErrorRow, error: float = 1.0) -> tuple[str, str, str, str, float, float, float]:
    return row.quantity, row.id, row.group, row.role, row.estimate, row.measured, error


def test_every_cause_names_some_measured_row():
    ids = [row["id"] for name in ("speed.yaml", "llama_cpp_speed.yaml", "memory.yaml") for row in measured_rows(name)]
    ids += [file.stem for file in recorded_files()]
    ids += [row["checkpoint"] for row in measured_rows("checkpoints.yaml")]
    for cause in causes():
        assert any(fnmatchcase(name, cause["rows"]) for name in ids), cause["rows"]


def test_rates_are_judged_by_the_reciprocal_of_their_time():
    estimate = llmsizer.estimate("llama-3.1-8b", "rtx-4090", engine="llama.cpp", quantization="Q4_0", concurrency=1)
    interval = estimate.evidence.tpot_interval_seconds
    assert interval is not None
    rate = 1 / estimate.speed.latency.tpot_seconds
    for measured, inside in ((1 / interval[0] * 0.99, True), (1 / interval[0] * 1.01, False), (1 / interval[1] * 1.01, True)):
        error = ErrorRow("llama.cpp token generation", "row", "g", "validate", rate, measured, rate / measured - 1)
        assert judged(error, estimate).inside is inside
    assert judged(ErrorRow("weights", "row", "g", "validate", 1, 1, 0), estimate).inside is None
