"""What a report is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from llmsizer.report.tables import Table


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with what is said about each; a label that returns continues."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Code:
    """Text that is kept as it is: a command, a derivation."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as SVG (empty: none is made), what it shows, and its numbers as a table."""

    title: str
    about: str
    svg: str
    numbers: Table


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are opened on demand."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; ``level`` 2 is the highest."""

    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report: its title, what stands at the head, its sections, and what it was made with."""

    title: str
    description: str
    head: Sequence[Block]
    sections: Sequence[Section]
    made_with: Sequence[tuple[str, str]]


Block: TypeAlias = Paragraph | Facts | Code | Picture | Folded | Section | Table
