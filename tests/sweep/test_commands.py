"""``llmsizer sweep`` and ``llmsizer compare`` as typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from llmsizer.cli.main import run
from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.ranges import names_in, numbers_in

BASE = ["-m", "llama-3.1-8b", "-g", "h100"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4", (4,)),
        ("1,2,4..6", (1, 2, 4, 5, 6)),
        ("0..10:5", (0, 5, 10)),
        ("1..100:x10", (1, 10, 100)),
        ("128..8192:log4", (128, 512, 2048, 8192)),
        ("1..3:log9", (1, 2, 3)),
        ("max,8", ("max", 8)),
        ("1e3", (1000,)),
    ],
)
def test_ranges(text: str, numbers: tuple[object, ...]) -> None:
    assert numbers_in("concurrency", text) == numbers


@pytest.mark.parametrize(
    "text", ["4..2", "1..", "..4", "1..4:0", "1..4:log1", "0..4:log3", "1..4:x1", "1..4:y", "1..2..3", "1..inf", "1..1e12"]
)
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(InvalidQuestion, match="concurrency"):
        numbers_in("concurrency", text)


def test_lists_of_names() -> None:
    assert names_in("hardware", " h100, h200,h100 ") == ("h100", "h200")


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", *BASE, "-c", "1..64:x8"]) == 0
    text = capsys.readouterr().out
    assert "3 points" in text
    assert all(len(line) <= 100 for line in text.splitlines() if "--" not in line)


def test_long_tables_end_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", *BASE, "-c", "1..100"]) == 0
    assert "40 more points" in capsys.readouterr().out


def test_csv_and_json_have_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", *BASE, "-c", "1,2", "-f", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert run(["sweep", *BASE, "-c", "1,2", "-f", "json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [float(row["latency.tpot_seconds"]) for row in rows] == [point["latency.tpot_seconds"] for point in points]


@pytest.mark.parametrize("name", ["grid.csv", "grid.json", "grid.parquet"])
def test_files(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    assert run(["sweep", *BASE, "-c", "1,2", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 100


@pytest.mark.parametrize("name", ["load.svg", "load.png"])
def test_curves(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    assert run(["sweep", *BASE, "-c", "1..64:x4", "-q", "fp8,bf16", "--plot", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "grid.xlsx"], ".csv"),
        (["-c", "0"], "--concurrency"),
        (["-c", "4..2"], "must rise"),
        (["--plot", "a.gif"], ".svg"),
        (["--plot", "a.svg"], "no word with numbers"),
        (["--price", "2 USD/h"], "no costs"),
        (["-o", "/nowhere/grid.csv"], "written"),
    ],
)
def test_mistakes_end_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert run(["sweep", *BASE, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_nothing_fits_ends_with_1() -> None:
    assert run(["sweep", "-m", "llama-3.1-405b", "-g", "l40s", "-c", "1,2"]) == 1
    assert run(["compare", "-m", "llama-3.1-405b", "-g", "l40s,h100"]) == 1


def test_compare_marks_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "-m", "llama-3.1-8b", "-g", "h100,l40s", "-f", "markdown"]) == 0
    lines = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line.startswith("|")}
    fast = lines["TPOT, ms"].split("|")
    assert "*" in fast[2]
    assert "*" not in fast[3]


def test_compare_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "-m", "llama-3.1-8b,llama-3.1-70b", "-g", "h100", "--tp", "1,3", "-f", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["fits"] for row in rows] == [True, None, False, None]
    assert "does not divide" in rows[1]["refused"]


def test_compare_keeps_to_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "-m", "llama-3.1-8b", "-g", "h100,h200,l40s,a100,l4,b200", "-q", "fp8"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 100


def test_compare_refuses_too_many() -> None:
    assert run(["compare", *BASE, "-c", "1..100"]) == 2
