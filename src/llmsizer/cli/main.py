"""The ``llmsizer`` command: finds the subcommand, runs it, and words the mistakes.

Exit codes: 0 answered; 1 answered "does not fit" or "nothing meets the targets"; 2 a mistake in the
question or in a file.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsizer import __version__
from llmsizer.cli.command import PlainCommand, PlainGroup
from llmsizer.cli.manner import Quiet, Verbose, detail, is_verbose, set_manner, styled, usual_manner, with_manner

if TYPE_CHECKING:
    from llmsizer.core.errors import LlmsizerError

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

EXAMPLES = """Examples:

  llmsizer estimate -m llama-3.1-8b -g h100

  llmsizer plan -m llama-3.1-70b --rate 5 --ttft 1s --tpot 50ms

  llmsizer COMMAND --help
"""


def build_app(names: list[str]) -> Any:
    """The application with the named commands."""
    app = typer.Typer(
        name="llmsizer",
        cls=PlainGroup,
        help="Capacity planner for LLM inference: what fits, how much of it, and where each number comes from.",
        epilog=EXAMPLES,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    app.callback(invoke_without_command=True)(_options)
    for name in names:
        module = import_module(f"llmsizer.cli.{COMMANDS[name]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, cls=PlainGroup)
        else:
            app.command(name, cls=PlainCommand, epilog=module.EXAMPLES)(with_manner(module.command))
    return app


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version, and how current each catalog is.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Capacity planner for LLM inference: what fits, how much of it, and where each number comes from."""
    set_manner(quiet, verbose)
    if version:
        print("\n".join(version_lines()))
        raise SystemExit(0)


def version_lines() -> list[str]:
    """The version of the package, the checksum of its catalogs, and the newest date that each of them names."""
    from llmsizer.catalog.catalog import load_catalog
    from llmsizer.catalog.dates import catalog_dates
    from llmsizer.catalog.package_data import source_hash

    dates = catalog_dates(load_catalog())
    return [f"llmsizer {__version__}, catalogs {source_hash()[:12]}", *(f"  {name:13s}{date}" for name, date in dates.items())]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    raise SystemExit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Runs the command line and returns the exit code; never a traceback for a user's mistake."""
    from llmsizer.core.errors import LlmsizerError

    started = time.perf_counter()
    with usual_manner():
        try:
            app = build_app(_wanted(arguments))
            return int(app(arguments, standalone_mode=True, prog_name="llmsizer") or 0)
        except SystemExit as stop:
            return _exit_code(stop)
        except LlmsizerError as error:
            _print_error(error)
            return 2
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except KeyboardInterrupt:
            return 130
        finally:
            if is_verbose():
                detail("\n".join([*version_lines(), f"  {'time':13s}{time.perf_counter() - started:.2f} s"]))


def _wanted(arguments: list[str]) -> list[str]:
    """The command that is called, or that a shell completes; all of them where none is."""
    typed = arguments or os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()
    found = [word for word in typed if word in COMMANDS]
    return found[:1] if found and typed[0] not in ("--help", "-h") else list(COMMANDS)


def _print_error(error: LlmsizerError) -> None:
    """Words a mistake; where verbose also its place in the code."""
    if is_verbose():
        import traceback

        traceback.print_exc()
    print(f"{styled('error:', 'bad', sys.stderr)} {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def _exit_code(stop: SystemExit) -> int:
    if isinstance(stop.__context__, BrokenPipeError):  # the reader has seen enough
        return 0
    if stop.code is None:
        return 0
    return stop.code if isinstance(stop.code, int) else 2
