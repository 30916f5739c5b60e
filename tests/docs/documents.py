"""Reads the documents, runs their examples, and writes what is generated in them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

TOP = Path(__file__).parents[2]
DOCUMENTS = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMNS = "80"


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(TOP)}:{self.line}"


@dataclass(frozen=True)
class Example:
    """A command of a console block, and the output that the document shows."""

    command: str
    shown: tuple[str, ...]


def blocks(language: str, files: Sequence[Path] = DOCUMENTS) -> Iterator[Block]:
    """The fenced blocks of a language."""
    for file in files:
        text = file.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            if found[1] == language:
                yield Block(file, text.count("\n", 0, found.start()) + 1, language, found[2])


def examples(text: str) -> list[Example]:
    """The commands of a console block; a line that ends with a backslash goes on in the next."""
    found: list[Example] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command = str(re.match(r"(?:[^\n]*\\\n)*[^\n]*", part)[0])  # type: ignore[index]
        head, rest = re.sub(r"\\\n\s*", "", command), part[len(command) + 1 :]
        found.append(Example(head, tuple(line.rstrip() for line in rest.rstrip("\n").split("\n")) if rest.strip() else ()))
    return found


def _with_links(scratch: Path) -> Path:
    """The folder with links to what lies in the repository's top folder: examples read there and write here."""
    for entry in TOP.iterdir():
        (scratch / entry.name).symlink_to(entry)
    return scratch


def run(command: str) -> list[str]:
    """The lines that a ``llmsizer …`` command prints on an 80-column terminal, in the repository's top folder."""
    from llmsizer.cli.main import run as run_line

    name, *arguments = shlex.split(command)
    if name != "llmsizer":
        raise ValueError(f"not a llmsizer command: {command}")
    out = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(_with_links(Path(scratch))),
        mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        run_line(arguments)
    return [line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")]


def matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether the output is as shown: ``...`` at a line's end stands for anything, a line of its own for any lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    if not printed:
        return False
    same = printed[0].startswith(shown[0][:-3]) if shown[0].endswith("...") else printed[0] == shown[0]
    return same and matches(shown[1:], printed[1:])


def rewritten(text: str) -> str:
    """A document with the output of its console examples renewed where it no longer matches."""

    def renewed(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        parts = re.split(r"^(?=\$ )", found[2], flags=re.MULTILINE)
        return f"```console\n{''.join(_renewed(part) for part in parts)}```"

    return FENCE.sub(renewed, text)


def _renewed(part: str) -> str:
    (example,) = examples(part) or [Example("", ())]
    if not example.command or matches(example.shown, printed := run(example.command)):
        return part
    command = part[: re.search(r"(?<!\\)\n", part).end()]  # type: ignore[union-attr]
    return command + "\n".join(printed) + "\n"
