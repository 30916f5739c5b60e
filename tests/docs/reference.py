"""The command reference (docs/commands.md), generated from the commands themselves."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

INTRODUCTION = """# Commands

This page is generated from the commands: `python tests/docs/refresh.py` writes it, and a test compares it.

Exit codes of every command: 0 answered; 1 answered "does not fit" or "nothing found"; 2 a mistake in the question
or in a file, with a message that names it. `llmsizer --version` prints the version, the checksum of the catalogs and the
newest date that each of them names. `llmsizer COMMAND --help` prints the help of a command.

## Options of llmsizer itself

| option | meaning |
|---|---|
| `--version` | Print the version, and how current each catalog is. |
| `--install-completion` | Teach the shell to complete commands, options, and names of the catalog. |
| `--show-completion` | Print that completion, to copy or change it. |

## Options of every command

| option | meaning |
|---|---|
| `--quiet` | The answer alone: no notes, no remarks such as "written", no progress bar. Data (JSON, CSV) stays whole. |
| `--verbose` | Also, on standard error: catalog files, versions and dates, the time it took, and where a mistake arose. |
| `-h`, `--help` | The help of the command. |

Colours are used on terminals alone, and not where `NO_COLOR` is set. `python -m llmsizer` is the same command.
"""
OF_EVERY_COMMAND = ("help", "quiet", "verbose")


def command_reference() -> str:
    """The whole page."""
    import typer

    from llmsizer.cli.main import COMMANDS, build_app
    from llmsizer.cli.options import QUESTION

    names = [name for name, module in COMMANDS.items() if find_spec(f"llmsizer.cli.{module}")]
    commands = typer.main.get_command(build_app(names)).commands  # type: ignore[attr-defined]
    question = [p for p in commands["estimate"].params if p.name in QUESTION]
    parts = [INTRODUCTION, "## Options of a question\n", _table(question)]
    for name in names:
        parts += _section(f"llmsizer {name}", commands[name], set(QUESTION))
    return "\n".join(parts)


def _section(name: str, command: Any, question: set[str]) -> list[str]:
    subcommands = getattr(command, "commands", None)
    if subcommands:
        own = [line for word, sub in subcommands.items() for line in _section(f"{name} {word}", sub, question)]
        return [f"## {name}\n", f"{command.help}\n", *own]
    level = "###" if name.count(" ") > 1 else "##"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in OF_EVERY_COMMAND]
    asked, own = [p for p in options if p.name in question], [p for p in options if p.name not in question]
    lines = [f"{level} {name}\n", f"{(command.help or '').strip()}\n", f"`{_usage(name, arguments)}`\n"]
    if asked:
        lines.append(f"{_asked(asked, question)}\n")
    lines += [_table([*arguments, *own])]
    shown = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("llmsizer ")]
    return [*lines, "Examples:\n\n```sh\n" + "\n".join(shown) + "\n```\n"] if shown else lines


def _usage(name: str, arguments: list[Any]) -> str:
    return " ".join([name, *(str(p.name).upper() for p in arguments), "[OPTIONS]"])


def _asked(asked: list[Any], question: set[str]) -> str:
    required = [p.opts[0] for p in asked if p.required]
    if len(asked) == len(question):
        return "Takes all [options of a question](#options-of-a-question), and:"
    listed = ", ".join(f"`{p.opts[0]}`" for p in asked)
    return f"Takes these [options of a question](#options-of-a-question){'' if required else ', none required'}: {listed}. And:"


def _table(parameters: list[Any]) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for each in parameters:
        argument = each.param_type_name == "argument"
        names = (
            [each.name.upper()] if argument else sorted([*each.opts, *each.secondary_opts], key=lambda flag: flag[:2] == "--")
        )
        text = str(each.help or "").replace("|", "\\|")
        if each.required and not argument:
            text += " Required."
        elif each.show_default and each.default not in (None, False, ()):
            text += f" Default: `{each.default}`."
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {text} |")
    return "\n".join(rows) + "\n"
