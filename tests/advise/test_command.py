"""``llmsizer advise`` on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest

from llmsizer.catalog.techniques import techniques
from llmsizer.cli.main import run

USUAL = ["advise", "-m", "llama-3.1-8b", "-g", "l40s", "-c", "16"]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert run(arguments) == code
    return capsys.readouterr().out


def test_table(capsys: pytest.CaptureFixture[str]):
    text = told(USUAL, capsys)
    assert "best first by the cost of a request" in text
    for title in ("FP8 weights", "Nothing to gain here", "PagedAttention", "One input 10% lower / higher"):
        assert title in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_every_published_figure_names_its_source(capsys: pytest.CaptureFixture[str]):
    text = told(USUAL, capsys)
    assert "https://arxiv.org/abs/2411.02355" in text
    assert "no published figure recorded" in " ".join(text.split())


def test_json(capsys: pytest.CaptureFixture[str]):
    found = json.loads(told([*USUAL, "--format", "json", "--by", "tpot"], capsys))
    assert found["sorted_by"] == "tpot"
    named = [each["technique"] for each in [*found["techniques"], *found["nothing_to_gain"]]]
    assert sorted(named) == sorted(techniques())
    best = found["techniques"][0]
    assert best["benefit"] == pytest.approx(1 / best["ratios"]["tpot_seconds"])
    assert best["figures"]["tpot_seconds"] == pytest.approx(found["figures"]["tpot_seconds"] * best["ratios"]["tpot_seconds"])
    assert {"input", "step", "lower", "higher"} == set(found["sensitivities"][0])


def test_csv(capsys: pytest.CaptureFixture[str]):
    rows = list(csv.DictReader(io.StringIO(told([*USUAL, "--format", "csv"], capsys))))
    assert len(rows) == len(techniques())
    assert all(row["reason"] or row["tpot_seconds"] for row in rows)


def test_markdown(capsys: pytest.CaptureFixture[str]):
    assert told([*USUAL, "--format", "markdown"], capsys).startswith("# meta-llama/Llama-3.1-8B on L40S")


def test_what_does_not_fit(capsys: pytest.CaptureFixture[str]):
    text = told(["advise", "-m", "llama-3.1-70b", "-g", "l40s"], capsys, 1)
    assert "it does not fit" in text
    assert "weights need" in text


def test_a_wrong_figure(capsys: pytest.CaptureFixture[str]):
    assert run([*USUAL, "--by", "cots"]) == 2
    assert "cost" in capsys.readouterr().err
