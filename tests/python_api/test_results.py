"""Every public function gives back a frozen object that turns into data, a frame, and a page of a notebook."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest

import llmsizer
from llmsizer.core.results import Result

LOG = Path(__file__).parents[1] / "doctor" / "logs" / "vllm_v1_hybrid.log"
OVERLAY = Path(__file__).parents[2] / "examples" / "preview.yaml"
WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "concurrency": 8}
PLAN = """
title: Two <b>plans</b>
workloads:
  chat: {model: llama-3.1-8b, request_rate: 2}
targets: {tpot: 50 ms}
candidates: {hardware: [l40s]}
outputs: {simulate: false}
"""


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    path.write_text(PLAN)
    return path


MAKERS: dict[str, Callable[[Path], Any]] = {
    "estimate": lambda _: llmsizer.estimate(**WORDS),
    "estimate that does not fit": lambda _: llmsizer.estimate("llama-3.1-70b", "t4"),
    "cost": lambda _: llmsizer.estimate(**WORDS).cost,
    "sweep": lambda _: llmsizer.sweep("llama-3.1-8b", ["h100", "t4"], concurrency=[1, 8]),
    "compare": lambda _: llmsizer.compare("llama-3.1-8b", ["h100", "t4"]),
    "advise": lambda _: llmsizer.advise(**WORDS),
    "plan": lambda _: llmsizer.plan("llama-3.1-8b", request_rate=2, hardware=["l40s"], confirm=False),
    "plan without an answer": lambda _: llmsizer.plan(
        "llama-3.1-8b", request_rate=2, hardware=["t4"], targets={"tpot": "1 ms"}
    ),
    "plan_file": llmsizer.plan_file,
    "simulate": lambda _: llmsizer.simulate(**WORDS, num_prompts=40),
    "changes": lambda _: llmsizer.changes(OVERLAY, **WORDS),
    "diagnose": lambda _: llmsizer.diagnose(LOG),
    "validate": lambda _: llmsizer.validate("memory"),
}


@pytest.fixture(scope="module")
def results(plan_path: Path) -> dict[str, Any]:
    return {name: make(plan_path) for name, make in MAKERS.items()}


EACH = pytest.mark.parametrize("name", MAKERS)


@EACH
def test_data_is_ready_for_json(name: str, results: dict[str, Any]):
    found = results[name]
    assert isinstance(found, Result)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


@EACH
def test_frame_has_the_rows(name: str, results: dict[str, Any]):
    frame, rows = results[name].to_dataframe(), results[name].to_rows()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(rows)
    assert list(frame.columns) == (list(rows[0]) if rows else [])


@EACH
def test_repr_is_one_short_line(name: str, results: dict[str, Any]):
    text = repr(results[name])
    assert text.startswith(f"<{type(results[name]).__name__}")
    assert len(text) <= 140
    assert "\n" not in text


class Tags(HTMLParser):
    """Checks that tags close in order, and keeps the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@EACH
def test_notebooks_show_tables(name: str, results: dict[str, Any]):
    page = Tags(results[name]._repr_html_())
    assert not page.open
    assert "table" in page.seen
    assert page.seen <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}


@EACH
def test_results_do_not_change(name: str, results: dict[str, Any]):
    found = results[name]
    with pytest.raises(FrozenInstanceError):
        setattr(found, fields(found)[0].name, None)
    assert copy.copy(found).to_dict() == found.to_dict()


def test_the_words_of_a_user_stay_text(tmp_path: Path):
    config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 512,
              "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 1000, "torch_dtype": "bfloat16",
              "max_position_embeddings": 4096}  # fmt: skip
    folder = tmp_path / "<script>alert(1)"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    page = Tags(llmsizer.estimate(str(folder), "h100")._repr_html_())
    assert "script" not in page.seen
    assert "<script>" in page.text


def test_a_sweep_of_many_points_is_cut_in_notebooks_only():
    found = llmsizer.sweep("llama-3.1-8b", "h100", concurrency=range(1, 101))
    assert "40 more points" in found._repr_html_()
    assert len(found.to_dataframe()) == 100


def test_frames_without_pandas_name_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(llmsizer.LlmsizerError, match=r"pip install 'llmsizer\[pandas\]'"):
        llmsizer.estimate(**WORDS).to_dataframe()


def test_pandas_is_loaded_only_for_frames():
    code = "import sys, llmsizer\nllmsizer.estimate('llama-3.1-8b', 'h100').to_rows()\nprint('pandas' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
