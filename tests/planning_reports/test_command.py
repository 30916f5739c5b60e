"""``llmsizer plan`` with files: what it prints and writes, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmsizer.cli.main import run
from llmsizer.planner.starter import starter_text

HERE = Path(__file__).parent
PLAN, WORLD = str(HERE / "plan.yaml"), ("--catalog", str(HERE / "catalog.yaml"))
SHORT = ("plan", "-m", "chat-8b", "--rate", "2", "--gpus", "acme-x1-96gb", "--calibration", "ideal", "--no-simulate", *WORLD)


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


def told(*arguments: str) -> Told:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return Told(code, out.getvalue(), err.getvalue())


def test_a_plan_file_prints_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = told("plan", PLAN, *WORLD)
    assert found.code == 1, "next year nothing meets the targets"
    assert [line for line in found.out.splitlines() if line.startswith("==")] == [
        "== today: chat ==", "== today: digest ==", "== next year: chat ==", "== next year: digest ==",
    ]  # fmt: skip
    assert max(map(len, found.out.splitlines())) <= 80


@pytest.mark.parametrize("columns", [80, 120])
def test_the_default_fits_two_screens(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ("plan", "-m", "llama-3.1-70b", "--rate", "10", "--ttft", "500ms", "--tpot", "40ms", "--no-simulate")
    lines = told(*words).out.splitlines()
    assert len(lines) <= 75
    assert max(map(len, lines)) <= columns
    assert "--all" in lines[-1] or "--all" in lines[-2]
    assert len(told(*words, "--all").out.splitlines()) > len(lines)


def test_reports_are_written(tmp_path: Path) -> None:
    names = ["report.html", "report.md", "report.json", "report.csv"]
    found = told(*SHORT, *(word for name in names for word in ("-o", str(tmp_path / name))))
    assert (found.code, found.err) == (0, "")
    assert [line.endswith("written") for line in found.out.splitlines()] == [True] * 4
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["meets_targets"]
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)


def test_formats_on_the_terminal() -> None:
    assert json.loads(told(*SHORT, "-f", "json").out)["plans"][0]["meets_targets"]
    assert told(*SHORT, "-f", "csv").out.startswith("scenario,workload,rank,is_pick,hardware")
    assert told(*SHORT, "-f", "markdown").out.startswith("# Plan\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((PLAN, "--rate", "3"), "a plan file and --request-rate exclude each other"),
        ((PLAN, "-m", "llama-3.1-8b"), "a plan file and --model exclude each other"),
        ((PLAN, "-o", "report.pdf"), "must end in"),
        (("none.yaml",), "none.yaml: cannot be read"),
        ((str(HERE / "golden"),), "cannot be read"),
        ((str(HERE / "conftest.py"),), "not valid YAML"),
    ],
)
def test_mistakes_exit_2(words: tuple[str, ...], said: str) -> None:
    found = told("plan", *words, *WORLD)
    assert found.code == 2
    assert said in found.err


def test_the_starter_is_printed_or_written_once(tmp_path: Path) -> None:
    assert told("plan", "--init").out == starter_text()
    path = tmp_path / "plan.yaml"
    assert told("plan", "--init", str(path)).code == 0
    assert path.read_text(encoding="utf-8") == starter_text()
    path.write_text("mine", encoding="utf-8")
    assert told("plan", "--init", str(path)).code == 2
    assert path.read_text(encoding="utf-8") == "mine"


def test_the_schema_is_printed() -> None:
    assert json.loads(told("plan", "--schema").out)["title"] == "llmsizer plan"


def test_the_example_answers(top: Path) -> None:
    found = told("plan", str(top / "examples" / "plan.yaml"), "-f", "csv")
    assert found.code == 0
    assert found.out.count("\n") > 10


def test_several_models_are_summed(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    workloads = "{chat: {model: llama-3.1-8b, request_rate: 2}, code: {model: qwen3-32b, request_rate: 1}}"
    text = f"workloads: {workloads}\ncandidates: {{hardware: [l40s, h100]}}\noutputs: {{simulate: false, picks: 1}}\n"
    path.write_text(text, encoding="utf-8")
    plans = json.loads(told("plan", str(path), "-f", "json").out)
    cost = sum(plan["picks"][0]["usd_per_hour"] for plan in plans["plans"])
    assert plans["scenarios"] == [{"scenario": "", "usd_per_hour": pytest.approx(cost)}]
    assert f"all 2 workloads: {cost:,.2f} USD/h" in told("plan", str(path)).out.splitlines()[-1]
