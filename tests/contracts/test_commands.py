"""Every command and every option says what it does; every command shows examples that parse."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
import pytest
import typer.main

from llmsizer.cli.main import COMMANDS, build_app, run


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups walked through."""
    for name in COMMANDS:
        group: Any = typer.main.get_command(build_app([name]))
        yield from walked(name, group.commands[name])


def walked(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        yield words, command
        for name, inner in command.commands.items():
            yield from walked(f"{words} {name}", inner)
    else:
        yield words, command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_module_exists(name: str):
    module = import_module(f"llmsizer.cli.{COMMANDS[name]}")
    assert hasattr(module, "command") or hasattr(module, "app")


def test_every_command_and_option_is_described():
    silent = []
    for words, command in commands():
        if not (command.help or "").strip():
            silent.append(words)
        for parameter in command.params:
            is_argument = isinstance(parameter, click.Argument) or parameter.param_type_name == "argument"
            if not (getattr(parameter, "help", None) or "").strip() and not getattr(parameter, "hidden", False):
                silent.append(f"{words} {parameter.name if is_argument else parameter.opts[0]}")
    assert not silent


def test_long_options_are_spelt_with_dashes():
    for words, command in commands():
        for parameter in command.params:
            for option in getattr(parameter, "opts", []):
                if option.startswith("-"):
                    assert "_" not in option, f"{words} {option}"


def test_commands_that_print_take_format_and_catalog():
    for words, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        if "--model" in options and words != "explain":
            assert {"--format", "--catalog"} <= options, words


@pytest.mark.parametrize("words", ["", *(words for words, _ in commands())])
def test_help_has_examples_and_fits_a_terminal(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words.split(), "--help"]) == 0
    told = capsys.readouterr()
    assert "Usage: llmsizer" in told.out
    assert max(len(line) for line in told.out.splitlines()) <= 80
    assert not told.err
    examples = [line.strip() for line in told.out.partition("Examples:")[2].splitlines()]
    assert [line for line in examples if line.startswith(f"llmsizer {words}".strip())]


def test_every_command_can_be_quiet_or_verbose():
    for words, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        assert hasattr(command, "commands") or {"--quiet", "--verbose"} <= options, words


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_name_the_command(name: str):
    examples = import_module(f"llmsizer.cli.{COMMANDS[name]}").EXAMPLES
    lines = [line.strip() for line in examples.splitlines() if line.strip().startswith("llmsizer")]
    assert lines
    assert all(shlex.split(line)[1] == name for line in lines)
