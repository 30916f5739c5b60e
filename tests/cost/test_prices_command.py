"""The command that shows prices, and the tables of a cost."""

from __future__ import annotations

import json

import pytest

from llmsizer import Catalog
from llmsizer.cli.main import run
from llmsizer.cost import CostCase, chosen_price, cost_estimate
from llmsizer.report.cost import cost_tables
from llmsizer.report.tables import as_text
from llmsizer.schema.accelerator import Accelerator


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["prices", *words]) == 0
    return capsys.readouterr().out


def test_prices_are_listed_searched_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list", "-g", "h100", "--format", "json"))
    assert {row["device"] for row in rows} == {"h100-sxm5-80gb"}
    old = json.loads(printed(capsys, "list", "-g", "h100", "--price-date", "2024-01-01", "--format", "json"))
    assert [(row["price"], row["USD/h"]) for row in old] == [("aws-p5.48xlarge", "98.32")]
    assert "verda-1h100" in printed(capsys, "search", "verda")
    shown = printed(capsys, "show", "aws-p5.48xlarge")
    assert "98.3200" in shown
    assert "55.0400" in shown
    assert "hardware_catalog.yaml" in shown
    assert "28,000" in printed(capsys, "show", "h100")
    assert "0.08 USD/kWh" in printed(capsys, "show", "assumptions")


def test_mistakes_exit_with_two_and_nothing_found_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prices", "show", "aws-p5.48xlrge"]) == 2
    assert "aws-p5.48xlarge" in capsys.readouterr().err
    assert run(["prices", "list", "--price-date", "soon"]) == 2
    assert run(["prices", "list", "-g", "h1000"]) == 2
    assert run(["prices", "search", "zzzz"]) == 1
    assert run(["prices", "show", "apple-m2"]) == 1


def test_the_tables_of_a_cost(catalog: Catalog, h100: Accelerator) -> None:
    cost = cost_estimate(CostCase(price=chosen_price("owned", catalog, h100), input_tokens=10.0, output_tokens=10.0))
    tables, notes = cost_tables(cost)
    text = as_text(tables[0])
    assert "electricity *" in text
    assert "depends on requests_per_second" in text
    assert "total of what is known" in text
    assert any(note.startswith("* assumption:") for note in notes)
    assert any(note.startswith("not counted: storage") for note in notes)
