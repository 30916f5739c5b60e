"""The ``llmsizer`` command: finds the subcommand, runs it, and words the mistakes.

Exit codes: 0 answered; 1 answered "does not fit" or "nothing meets the targets"; 2 a mistake in the
question or in a file.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from llmsizer import __version__
from llmsizer.cli.command import PlainCommand, PlainGroup

# Each command lives in a module of this package; only the one that is called is imported.
COMMANDS = {
    "estimate": "estimate",
    "memory": "memory",
    "explain": "explain",
    "models": "models",
    "hardware": "hardware",
    "prices": "prices",
    "import": "import_model",
    "doctor": "doctor",
    "roofline": "roofline",
    "simulate": "simulate",
    "compare": "compare",
    "changes": "changes",
    "sweep": "sweep",
    "plan": "plan",
    "advise": "advise",
    "measure": "measure",
    "fit": "fit",
    "validate": "validate",
}


def build_app(names: list[str]) -> Any:
    """The application with the named commands."""
    app = typer.Typer(
        name="llmsizer",
        cls=PlainGroup,
        help="Capacity planner for LLM inference: what fits, how much of it, and where each number comes from.",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(invoke_without_command=True)(_options)
    for name in names:
        module = import_module(f"llmsizer.cli.{COMMANDS[name]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, cls=PlainGroup)
        else:
            app.command(name, cls=PlainCommand, epilog=module.EXAMPLES)(module.command)
    return app


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the versions of package and catalogs.")] = False,
) -> None:
    """Capacity planner for LLM inference: what fits, how much of it, and where each number comes from."""
    if version:
        from llmsizer.catalog.package_data import source_hash

        print(f"llmsizer {__version__}, catalogs {source_hash()[:12]}")
        raise SystemExit(0)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    raise SystemExit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Runs the command line and returns the exit code; never a traceback for a user's mistake."""
    from llmsizer.core.errors import LlmsizerError

    wanted = next((argument for argument in arguments if argument in COMMANDS), None)
    app = build_app([wanted] if wanted and "--help" not in arguments[:1] and "-h" not in arguments[:1] else list(COMMANDS))
    try:
        result = app(arguments, standalone_mode=True, prog_name="llmsizer")
        return int(result or 0)
    except SystemExit as stop:
        return _exit_code(stop)
    except LlmsizerError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    return stop.code if isinstance(stop.code, int) else 2
