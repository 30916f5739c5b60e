"""The documents say what the program does: examples run, links lead somewhere, generated pages are current."""

from __future__ import annotations

import re

import pytest
from documents import DOCUMENTS, TOP, blocks, examples, matches, run
from methodology import methodology_pages
from python_page import python_page
from reference import command_reference

CONSOLE = [(str(block), example) for block in blocks("console") for example in examples(block.text)]
PYTHON = list(blocks("python"))
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#\s]*)(#[^)\s]*)?\)")


@pytest.mark.parametrize(("place", "example"), CONSOLE, ids=[f"{place} {example.command[:40]}" for place, example in CONSOLE])
def test_console_example(place, example):
    printed = run(example.command)
    assert matches(example.shown, printed), "\n".join([place, *printed, "(python tests/docs/refresh.py renews it)"])


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_example(block, monkeypatch, capsys):
    monkeypatch.chdir(TOP)
    exec(compile(block.text, str(block), "exec"), {"__name__": "example"})
    shown = [line[2:] for line in block.text.splitlines() if line.startswith("# ")]
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert not shown or matches(shown, printed), "\n".join([str(block), *printed])


def test_command_reference_is_current():
    text = (TOP / "docs" / "commands.md").read_text(encoding="utf-8")
    assert text == command_reference(), "python tests/docs/refresh.py renews it"


def test_python_page_is_current():
    text = (TOP / "docs" / "python.md").read_text(encoding="utf-8")
    assert text == python_page(), "python tests/docs/refresh.py renews it"


def test_methodology_is_current():
    pages = TOP / "docs" / "methodology"
    assert {file.name: file.read_text(encoding="utf-8") for file in pages.glob("*.md")} == methodology_pages(), (
        "python tests/docs/refresh.py renews it"
    )


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(TOP)))
def test_links_lead_somewhere(file):
    for target, _ in LINK.findall(file.read_text(encoding="utf-8")):
        if target and not target.startswith(("http:", "https:", "mailto:")):
            assert (file.parent / target).exists(), target


def test_every_document_is_reachable():
    linked = {TOP / "README.md", TOP / "docs" / "index.md"}
    for file in DOCUMENTS:
        for target, _ in LINK.findall(file.read_text(encoding="utf-8")):
            linked.add((file.parent / target).resolve())
    assert not [file.name for file in DOCUMENTS if file not in linked]


def test_dots_stand_for_anything():
    assert matches(["a", "...", "d"], ["a", "b", "c", "d"])
    assert matches(["weights  ..."], ["weights  32.9 GiB"])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a", "..."], ["b"])


# Commands whose examples name files of the reader's own, or measure a device.
OF_FILES = ("llmsizer doctor", "llmsizer import", "llmsizer measure", "llmsizer fit", "llmsizer hardware probe",
            "llmsizer changes answer.json", "llmsizer changes last-year.json")  # fmt: skip
COMMAND_LINES = [line for block in blocks("sh", [TOP / "docs" / "commands.md"]) for line in block.text.splitlines()]


@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if not line.startswith(OF_FILES)])
def test_examples_of_the_help_answer(line):
    printed = "\n".join(run(line))
    assert printed
    assert "error: " not in printed
