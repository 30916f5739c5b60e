"""A planning report as Markdown: readable as text, folded where a page can fold, names never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from llmsizer.report.planning.blocks import Block, Code, Facts, Folded, Paragraph, Report, Section
from llmsizer.report.tables import Table

_SPECIAL = re.compile(r"([\\`*\[\]<>|~#!]|^[-+=](?=[-+=\s]|$)|(?<=^\d)[.)](?=\s)|\b_|_\b)")


def as_markdown(report: Report) -> str:
    """The whole report."""
    head: list[Block] = [Paragraph(report.description)] if report.description else []
    made_with = Section("Made with", [Facts(report.made_with)])
    return "\n\n".join([f"# {plain(report.title)}", *_blocks([*head, *report.head, *report.sections, made_with])]) + "\n"


def plain(text: str) -> str:
    r"""Text that Markdown shows as it is, in one line.

    >>> print(plain("![a](b) <i>"))
    \!\[a\](b) \<i\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()).replace("&", "&amp;"))


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield plain(text)
        case Facts(rows):
            yield "\n".join(f"- **{plain(label)}**: {plain(said)}" for label, said in rows)
        case Code(language, text):
            yield _code(language, text)
        case Folded(title, inner):
            yield f"<details><summary>{escape(' '.join(title.split()))}</summary>"
            yield from _blocks(inner)
            yield "</details>"
        case Section(title, inner, level):
            yield f"{'#' * level} {plain(title)}"
            yield from _blocks(inner)
        case Table():
            yield _table(block)


def _code(language: str, text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _table(table: Table) -> str:
    """A table whose cells are not padded: a changed number changes its own line alone."""
    rule = ["---:" if place in table.right else "---" for place in range(len(table.headers))]
    lines = [[plain(str(cell)) for cell in row] for row in (table.headers, *table.rows)]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rule, *lines[1:]))
    return f"**{plain(table.title)}**\n\n{body}" if table.title else body
