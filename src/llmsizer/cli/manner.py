"""How much a command says (``--quiet``, ``--verbose``), and whether it may use colours."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any, TextIO

import typer

from llmsizer.core.errors import InvalidQuestion

QUIET, USUAL, VERBOSE = "quiet", "usual", "verbose"
_manner: ContextVar[str] = ContextVar("manner", default=USUAL)
# What a terminal is told to write in a style, and what ends it.
STYLES = {"heading": "\033[1m", "good": "\033[1;32m", "bad": "\033[1;31m"}
PLAIN = "\033[0m"


@contextmanager
def usual_manner() -> Iterator[None]:
    """A command of its own: what an earlier one was told is forgotten."""
    token = _manner.set(USUAL)
    try:
        yield
    finally:
        _manner.reset(token)


def is_quiet() -> bool:
    """Whether only the answer itself is wanted, without notes, remarks and progress."""
    return _manner.get() == QUIET


def is_verbose() -> bool:
    """Whether it is wanted how the answer came about: versions, files, time, and the place in the code of a mistake."""
    return _manner.get() == VERBOSE


def remark(text: str) -> None:
    """Prints what is not part of the answer, unless quiet."""
    if not is_quiet():
        print(text)


def detail(text: str) -> None:
    """Prints, where verbose, how the answer came about; to standard error, so that it never mixes with data."""
    if is_verbose():
        print(text, file=sys.stderr)


Quiet = Annotated[bool, typer.Option("--quiet", help="The answer alone: no notes, no remarks, no progress.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Also versions, catalog files, time, and where a mistake arose, on standard error.")
]


def set_manner(quiet: bool, verbose: bool) -> None:
    """Remembers for the running command how much it says."""
    if quiet and verbose:
        raise InvalidQuestion("--quiet and --verbose exclude each other")
    if quiet or verbose:
        _manner.set(QUIET if quiet else VERBOSE)


def with_manner(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that every command has."""

    @wraps(command)
    def mannered(quiet: bool = False, verbose: bool = False, **given: Any) -> None:
        set_manner(quiet, verbose)
        command(**given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=False, annotation=hint)
        for name, hint in (("quiet", Quiet), ("verbose", Verbose))
    ]
    parameters = [p.replace(kind=keyword) for p in inspect.signature(command, eval_str=True).parameters.values()] + added
    mannered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    mannered.__annotations__ = {p.name: p.annotation for p in parameters}
    return mannered


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Text in a style where it goes to a terminal that shows colours; elsewhere as it is."""
    return f"{STYLES[style]}{text}{PLAIN}" if shows_colours(stream or sys.stdout) else text


def shows_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user has not asked for plain text (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
