"""The headline figures are those that the measurements give, and README prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

import llmsizer
from llmsizer.report.validation import headline_table
from llmsizer.validation.headlines import FIGURES, INTERVALS, headlines
from llmsizer.validation.run import all_errors
from llmsizer.validation.statistics import ErrorRow

TOP = Path(__file__).parents[2]
RETELL = "tell them anew: llmsizer validate --write docs/validation.md; python tests/docs/refresh.py"


@pytest.fixture(scope="module")
def errors() -> list[ErrorRow]:
    return all_errors(llmsizer.load_catalog())


def test_readme_prints_the_computed_figures(errors: list[ErrorRow]):
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    printed = [line.split() for line in readme.splitlines()]
    for row in headline_table(headlines(errors)).rows:
        assert " ".join(str(cell) for cell in row).split() in printed, f"{row[0]}: {RETELL}"


def test_readme_links_to_how_they_are_made():
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    page = (TOP / "docs" / "validation.md").read_text(encoding="utf-8")
    assert "docs/validation.md#devices-and-models-never-seen" in readme
    assert "## Devices and models never seen" in page


def test_every_figure_has_rows_that_set_no_parameter(errors: list[ErrorRow]):
    found = {each.title: each.summary for each in headlines(errors)}
    assert set(FIGURES) <= set(found)
    counted = sum(1 for error in errors if error.role == "validate" and error.inside is not None)
    assert found[INTERVALS].count == counted


def test_a_figure_counts_only_rows_that_set_no_parameter():
    rows = [ErrorRow("TPOT under load", "a", "g", role, 2, 1, 1.0, inside=True) for role in ("fit", "validate", "validate")]
    assert next(each for each in headlines(rows) if each.title == "time per token under load").summary.count == 2
