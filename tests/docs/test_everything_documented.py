"""Every command, every option and every public name has its words in the code and its place in the documents."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from documents import TOP
from python_page import members, parts, public_fields

import llmsizer
from llmsizer.cli.main import COMMANDS, build_app
from llmsizer.core.results import Result
from llmsizer.planner.ask import CHOICE_WORDS, QUESTION_WORDS
from llmsizer.question.words import Words
from llmsizer.report.views import VIEWS

COMMANDS_PAGE = (TOP / "docs" / "commands.md").read_text(encoding="utf-8")
JSON_PAGE = (TOP / "docs" / "json.md").read_text(encoding="utf-8")
PYTHON_PAGE = (TOP / "docs" / "python.md").read_text(encoding="utf-8")
CLASSES = [getattr(llmsizer, name) for name in llmsizer.__all__ if inspect.isclass(getattr(llmsizer, name))]
FUNCTIONS = [name for name in llmsizer.__all__ if not inspect.isclass(getattr(llmsizer, name))]


def commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(f"{words} {name}", inner)


@pytest.mark.parametrize(("words", "command"), list(commands("llmsizer", typer.main.get_command(build_app(list(COMMANDS))))))
def test_every_command_and_option_is_in_the_reference(words: str, command: Any):
    assert words == "llmsizer" or re.search(rf"^#+ {re.escape(words)}$", COMMANDS_PAGE, re.MULTILINE)
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        flags = [parameter.name.upper()] if parameter.param_type_name == "argument" else parameter.opts
        assert all(f"`{flag}`" in COMMANDS_PAGE for flag in flags), flags


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented(name: str):
    function = getattr(llmsizer, name)
    words = [each for each in inspect.signature(function).parameters if each not in {"model", "hardware", "catalog", "words"}]
    assert "LlmsizerError" in function.__doc__ or "CatalogError" in function.__doc__
    assert not [word for word in words if f"``{word}``" not in function.__doc__]
    assert f"### llmsizer.{name}\n" in PYTHON_PAGE


def test_every_word_of_a_question_is_documented():
    assert not [word for word in Words.__dataclass_fields__ if f"``{word}``" not in str(llmsizer.estimate.__doc__)]


def test_every_word_of_a_plan_is_documented():
    told = str(llmsizer.plan.__doc__)
    assert not [word for word in (*QUESTION_WORDS, *CHOICE_WORDS) if f"``{word}``" not in told]


@pytest.mark.parametrize("kind", [*CLASSES, *(each for _, each in parts())], ids=lambda kind: kind.__qualname__)
def test_every_attribute_is_documented(kind: type):
    assert kind.__doc__
    unnamed = [name for name in public_fields(kind) if f"``{name}``" not in kind.__doc__]
    assert not [name for name in unnamed if not re.search(rf"[.`]{name}[`\[]", JSON_PAGE)]
    assert not [name for name, text in members(kind).items() if not text]
    assert re.search(rf"^### {kind.__name__}( \(|$)", PYTHON_PAGE, re.MULTILINE)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_result_can_be_shown(kind: type):
    if issubclass(kind, Result):
        assert kind.__name__ in VIEWS
        assert all(name in vars(kind) for name in ("__repr__", "to_dict"))
    else:
        assert kind in {llmsizer.Catalog, llmsizer.LlmsizerError}
