"""What changed between two answers or catalogs, as people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.core.quantities import human
from llmsizer.differences.compare import Changes, Difference, FactChange
from llmsizer.report.tables import Table

MOST_FACTS = 60
NONE = "–"
# Figures by their path: name and unit. All others are in JSON.
NAMES = {
    "fits": ("fits", "1"), "memory.per_gpu.weights_bytes": ("weights", "byte"),
    "memory.per_gpu.activation_bytes": ("activations", "byte"), "memory.per_gpu.kv_cache_bytes": ("KV cache", "byte"),
    "memory.kv_capacity_tokens": ("KV tokens", "token"), "latency.ttft_seconds": ("TTFT", "second"),
    "latency.tpot_seconds": ("TPOT", "second"), "latency.e2e_seconds": ("E2E", "second"),
    "throughput.output_tokens_per_second": ("output tokens/s", "1"), "cost.usd_per_hour": ("USD/h", "1"),
    "cost.usd_per_million_output_tokens": ("USD per million output tokens", "1"), "evidence.tier": ("evidence", "1"),
    "evidence.weakest": ("weakest fact", "1"),
}  # fmt: skip


# Figures that changes are told to move, as columns.
MOVING = {
    "memory.per_gpu.kv_cache_bytes": "KV cache", "latency.ttft_seconds": "TTFT", "latency.tpot_seconds": "TPOT",
    "latency.e2e_seconds": "E2E", "throughput.output_tokens_per_second": "tokens/s", "cost.usd_per_hour": "USD/h",
    "cost.usd_per_million_output_tokens": "USD/1M",
}  # fmt: skip
PLACE = 32  # letters of a line of a fact's place


def changes_heading(changes: Changes) -> str:
    """What was compared, and the verdict."""
    if not (changes.figures or changes.facts or changes.question):
        return f"{changes.what}: no difference"
    figures = f"{len(changes.figures):,} figures and " if changes.figures else ""
    return f"{changes.what}: {figures}{len(changes.facts):,} facts differ"


def changes_tables(changes: Changes, most: int | None = MOST_FACTS) -> list[Table]:
    """Versions, the question, the main figures, the facts with what each moves, and their sources."""
    facts = list(enumerate(changes.facts, 1))[:most]
    tables = [
        version_table(changes), question_table(changes), figure_table(changes), fact_table(facts),
        move_table(changes, facts), source_table(facts),
    ]  # fmt: skip
    return [table for table in tables if table.rows]


def changes_notes(changes: Changes, most: int | None = MOST_FACTS) -> list[str]:
    """What the facts leave open, and what the tables leave out."""
    notes = list(changes.notes)
    if changes.rest:
        rest = "moves with those changes undone, and comes from llmsizer's own code (CHANGELOG.md)"
        notes.append(f"rest: what still {rest}" + (" or from a fact that cannot be undone alone" if changes.facts else ""))
    if any(each.moves == {} for each in changes.facts):
        notes.append("a change that moves nothing is of a fact that this answer does not feel")
    others = sum(each.name not in NAMES for each in changes.figures)
    if others:
        notes.append(f"{others} further figures differ: --format json lists them")
    if most is not None and len(changes.facts) > most:
        notes.append(f"{len(changes.facts) - most:,} more facts differ: --format csv lists them")
    return notes


def version_table(changes: Changes) -> Table:
    """The versions of llmsizer and of its catalogs, where they are not the same."""
    old, new = changes.made_with
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    return Table("Versions", ["", "before", "now"], [[name, _text(old.get(name)), _text(new.get(name))] for name in names])


def question_table(changes: Changes) -> Table:
    """Words of the question that are resolved in another way."""
    rows = [[each.name, _text(each.old), _text(each.new)] for each in changes.question]
    return Table("The same question, understood differently", ["word", "before", "now"], rows)


def figure_table(changes: Changes) -> Table:
    """The main figures that differ."""
    rows = [_figure(each) for name in NAMES for each in changes.figures if each.name == name]
    return Table("Figures", ["figure", "before", "now", "change"], rows, right=(1, 2, 3))


def _figure(each: Difference) -> list[str]:
    name, unit = NAMES[each.name]
    percent = "" if each.percent is None else f"{each.percent:+.2f} %"
    return [name, _amount(each.old, unit), _amount(each.new, unit), percent]


def fact_table(facts: Sequence[tuple[int, FactChange]]) -> Table:
    """The facts that changed: where they stand, and both values."""
    return Table("Facts that changed", ["", "fact", "before", "now"], [[str(number), *_fact(each)] for number, each in facts])


def _fact(each: FactChange) -> list[str]:
    known = each.new or each.old
    unit = known.unit if known is not None else "1"
    old, new = (None if side is None else side.value for side in (each.old, each.new))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        old, new = ({name: side.get(name) for name in names} for side in (old, new))
    return ["\n".join(textwrap.wrap(": ".join(each.place), PLACE)), _amount(old, unit), _amount(new, unit)]


def move_table(changes: Changes, facts: Sequence[tuple[int, FactChange]]) -> Table:
    """By how much each change alone moves the figures, and what moves besides."""
    known = [(str(number), each.moves) for number, each in facts if each.moves is not None]
    known += [("rest", changes.rest)] if changes.rest else []
    names = [name for name in MOVING if any(name in moves for _, moves in known)]
    rows = [[number, *(f"{moves[name]:+.2f}" if name in moves else "" for name in names)] for number, moves in known]
    title = "What each change moves by itself, in % (empty: nothing)"
    return Table(title, ["", *(MOVING[name] for name in names)], rows, right=tuple(range(1, len(names) + 1)))


def source_table(facts: Sequence[tuple[int, FactChange]]) -> Table:
    """Where both values of a fact come from."""
    sides = [
        (str(number), when, side.source)
        for number, each in facts
        for when, side in (("before", each.old), ("now", each.new))
        if side is not None and side.source
    ]
    return Table("Sources", ["", "", "source"], [list(side) for side in sides])


def _amount(value: Any, unit: str) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{name} {_text(each)}" for name, each in value.items())
    if unit == "1" or isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
        return _text(value)
    if unit == "USD/second":
        return f"{value * 3600:,.4g} USD/h"
    return f"{value:,.0f}" if unit == "token" else human(float(value), unit)


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:,.5g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
