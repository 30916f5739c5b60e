"""Records of measured runs: read, checked, compared with estimates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import DEVICE, TINY, empty_record, model_rows

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import CatalogError, LlmsizerError
from llmsizer.report.measure import ceiling_table, comparison_table
from llmsizer.sizing.lowering import total_parameters
from llmsizer.validation.run_files import is_run, measured_part, read_run, run_text, write_run
from llmsizer.validation.run_rows import recorded_files, run_errors, shipped_before_after, with_measured_devices


def test_a_record_is_read_as_it_was_written(tmp_path: Path, nouns: Catalog):
    record = empty_record(models=[model_rows(nouns, "tiny/grouped")])
    write_run(tmp_path / "run.yaml", record)
    assert read_run(tmp_path / "run.yaml") == record
    assert is_run(tmp_path / "run.yaml")
    assert not is_run(tmp_path / "missing.yaml")


@pytest.mark.parametrize("name", TINY)
def test_a_measurement_equal_to_the_estimate_has_no_error(name: str, nouns: Catalog):
    record = empty_record(models=[model_rows(nouns, name)])
    errors = run_errors(record, nouns, "run")
    assert len(errors) == 3 + 6 + 6
    assert max(abs(error.error) for error in errors) < 1e-6
    assert all(error.inside in (True, None) for error in errors)
    assert len(comparison_table(errors).rows) == len(errors)


def test_slower_measurements_show_as_errors(nouns: Catalog):
    errors = run_errors(empty_record(models=[model_rows(nouns, "tiny/grouped", slower=2.0)]), nouns, "run")
    timed = [error for error in errors if error.quantity.startswith(("measured prefill", "measured decode"))]
    assert timed
    assert all(error.error == pytest.approx(-0.5) for error in timed)


def test_a_run_of_some_layers_is_compared_with_as_many(nouns: Catalog):
    whole, part = (empty_record(models=[model_rows(nouns, "tiny/windowed", layers=count)]) for count in (6, 2))
    assert part["models"][0]["weights_bytes"] < whole["models"][0]["weights_bytes"]
    assert max(abs(error.error) for error in run_errors(part, nouns, "run")) < 1e-6


def test_the_part_of_a_model(catalog: Catalog):
    model = catalog.model("deepseek-v2-lite")
    part = measured_part(model, 3)
    assert part.num_hidden_layers == 3
    assert sorted(index for group in part.layers for index in group.indices) == [0, 1, 2]
    assert total_parameters(part) < total_parameters(model)
    assert measured_part(catalog.model("google/gemma-3-12b-it"), 4).towers == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"record": "something"}, "not a record"),
        ({"models": {}}, "models: expected a list"),
        ({"models": [{"model": "x", "decode": [{"batch": 0, "context": 1}]}]}, "batch: expected a whole number"),
        ({"models": [{"model": "x", "decode": [{"batch": 1, "context": 1, "seconds": -1}]}]}, "seconds: expected seconds"),
        ({"models": ["x"]}, "expected a mapping with the name of a model"),
        ({"ceilings": [{"seconds": 1}]}, "expected a mapping with a kind"),
        ({"environment": "here"}, "environment: expected a mapping"),
    ],
)
def test_what_is_wrong_with_a_record_is_told(tmp_path: Path, change: dict[str, Any], told: str):
    path = tmp_path / "run.yaml"
    path.write_text(run_text({**empty_record(), **change}), encoding="utf-8")
    with pytest.raises(CatalogError, match=told):
        read_run(path)


def test_a_record_without_a_device_is_refused(nouns: Catalog):
    with pytest.raises(LlmsizerError, match="the catalog has no device"):
        run_errors(empty_record(hardware=None), nouns, "run")


def test_the_best_of_the_ceilings():
    rows = [
        {"kind": "copy", "bytes": 1 << 20, "seconds": 1e-4}, {"kind": "copy", "bytes": 1 << 27, "seconds": 1e-1},
        {"kind": "matmul", "dtype": "bf16", "m": 64, "n": 64, "k": 64, "seconds": 1e-5},
        {"kind": "matmul", "dtype": "fp32", "m": 64, "n": 64, "k": 64, "failed": "no"},
        {"kind": "attention_decode", "dtype": "bf16", "heads": 8, "groups": 2, "head_dim": 64, "batch": 1, "length": 64,
         "seconds": 1e-5}, {"kind": "launch", "seconds": 2e-6},
    ]  # fmt: skip
    shown = {row[0]: row for row in ceiling_table(rows).rows}
    assert set(shown) == {"copy", "matmul bf16", "attention decode bf16", "launch"}
    assert shown["copy"][2] == "1 MiB"


def test_shipped_records_are_replayed():
    nouns = with_measured_devices(llmsizer.load_catalog())
    files = recorded_files()
    assert files
    for path in files:
        record = read_run(path)
        errors = run_errors(record, nouns, path.stem)
        assert bool(errors) == bool(record["models"]), path.name
        exact = [error for error in errors if error.quantity in ("measured weights", "measured KV cache")]
        assert all(abs(error.error) < 0.01 for error in exact), path.name


def test_calibrating_helps_rows_that_set_nothing():
    found = list(shipped_before_after(llmsizer.load_catalog()))
    assert found
    before, after = (
        [abs(math.log(row.estimate / row.measured)) for each in found for row in getattr(each, name)]
        for name in ("before", "after")
    )
    assert len(before) == len(after)
    # The built-in curves of llama.cpp on processors rest on one of the fitted runs: little is left to learn from it.
    assert sum(after) < 0.95 * sum(before)


def test_the_record_of_an_unnamed_device_is_yaml(tmp_path: Path):
    text = run_text(empty_record(hardware=None))
    assert yaml.safe_load(text)["hardware"] is None
    assert DEVICE not in text
