"""llama.cpp's own products: the shipped factors come out of the shipped rows."""

from __future__ import annotations

from statistics import median

import pytest

from llmsizer.authoring.fit.llama_cpp import answered, asked, curves, fit, logarithms, names
from llmsizer.catalog.catalog import load_catalog
from llmsizer.catalog.package_data import package_data
from llmsizer.validation.local_rows import local_errors
from llmsizer.validation.measurements import measured_rows

pytest.importorskip("scipy")
ROWS = [row for row in measured_rows("llama_cpp_speed.yaml") if row["role"] == "fit"]


def test_a_refit_of_one_vendor_comes_out_as_shipped():
    some = asked([row for row in ROWS if row.get("backend") == "metal"], load_catalog())
    shipped = package_data("calibrations/llama_cpp.yaml")["factors"]
    free = [name for name in names() if name.startswith("metal_")]
    begin = {**shipped, "metal_memory": 0.8, "metal_quantized": 0.6, "metal_wide": 0.6, "metal_launch": 2e-5}
    values = fit(some, begin, free, most_evaluations=8)
    assert median(map(abs, logarithms(some, values))) < 0.08
    for name in ("metal_memory", "metal_quantized", "metal_wide"):
        assert values[name] == pytest.approx(shipped[name], rel=0.1), name


def test_a_question_tells_which_curves_answer_it():
    shipped = package_data("calibrations/llama_cpp.yaml")["factors"]
    each = asked([row for row in ROWS if row.get("backend") == "metal"][:1], load_catalog())[0]
    used = answered(each, shipped, curves(shipped))[1]
    assert {curve["vendor"] for curve in used if curve["family"] == "matmul"} == {"Apple"}


def test_wider_units_leave_a_smaller_share_of_the_peak():
    """Of the engine's own kernels, which are bound by a rate per core and clock."""
    made = curves(dict.fromkeys(names(), 0.4))
    own = [row for row in made if (row.get("family"), row.get("format")) == ("matmul", "gguf")]
    found = {row["architecture"]: row["parameters"]["compute_fraction"] for row in own}
    shares = [found[place] for place in (None, "ampere_ga100", "hopper")]
    assert shares == [0.4, 0.2, 0.1]


def test_rows_that_only_inform_are_not_compared():
    unscored = {row["id"] for row in measured_rows("llama_cpp_speed.yaml") if not row.get("scored", True)}
    assert unscored
    assert unscored.isdisjoint(error.id for error in local_errors())
    assert all(row["role"] == "fit" for row in measured_rows("llama_cpp_speed.yaml") if row["id"] in unscored)
