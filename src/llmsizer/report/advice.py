"""Advice as people read it: what each technique changes, what it takes, and what the answer hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmsizer.catalog.techniques import EFFORTS, Technique
from llmsizer.core.quantities import GIB, human
from llmsizer.planner.advice.advise import Advice, Effect
from llmsizer.planner.advice.figures import Figures
from llmsizer.planner.sensitivity import STEP
from llmsizer.planner.sensitivity import Effect as Moved
from llmsizer.report.tables import Table, digits

# Figures as columns: their key, their name, and how a value of it is written.
COLUMNS = {
    "weights_bytes": "weights", "requests_at_once": "room", "ttft_seconds": "TTFT", "tpot_seconds": "TPOT",
    "output_tokens_per_second": "tokens/s", "usd_per_request": "USD",
}  # fmt: skip
SENSITIVE = {
    "ttft_seconds": "TTFT", "tpot_seconds": "TPOT", "requests_per_second": "throughput", "usd_per_request": "USD/request",
}  # fmt: skip
SORTED_BY = {
    "cost": "the cost of a request", "ttft": "time to first token", "tpot": "time per output token",
    "throughput": "tokens/s of a device", "memory": "requests that fit on a device",
}  # fmt: skip


def now_line(advice: Advice) -> str:
    """The deployment as it is, in one line."""
    figures = advice.figures
    if advice.estimate.speed is None:
        return "Now         it does not fit; figures are what each change would give"
    parts = [
        f"TTFT {_value('ttft_seconds', figures)}", f"TPOT {_value('tpot_seconds', figures)}",
        f"{_value('output_tokens_per_second', figures)} output tokens/s", f"room for {figures.requests_at_once:,.0f} requests",
    ]  # fmt: skip
    if figures.usd_per_request is not None:
        parts.append(f"{digits(1e3 * figures.usd_per_request)} USD for a thousand requests")
    return f"Now         {', '.join(parts)}"


def advice_tables(advice: Advice, sources: Mapping[str, int]) -> list[Table]:
    """Every table of an advice that has rows."""
    tables = [effects_table(advice), caveats_table(advice, sources), idle_table(advice)]
    tables += [sensitivity_table(advice.sensitivities)] if advice.sensitivities else []
    return [table for table in tables if table.rows]


def effects_table(advice: Advice) -> Table:
    """The techniques that change something, with each figure as a multiple of what it is now."""
    base = advice.figures if advice.estimate.speed is not None else None
    rows = [
        [each.technique.title, *(_cell(name, base, each.figures) for name in COLUMNS), each.change.flags]
        for each in advice.effects
    ]
    unit = "USD for a thousand requests" if base is None else "multiples of now"
    title = f"What would change it, best first by {SORTED_BY[advice.by]} ({unit})"
    return Table(title, ["technique", *COLUMNS.values(), "change"], rows, right=tuple(range(1, len(COLUMNS) + 1)))


def _cell(name: str, base: Figures | None, figures: Figures) -> str:
    new = getattr(figures, name)
    if base is None:
        return _value(name, figures)
    old = getattr(base, name)
    if new is None:
        return "–"
    return f"×{new / old:.2f}" if old else _value(name, figures)


def _value(name: str, figures: Figures) -> str:
    value = getattr(figures, name)
    if value is None:
        return "without end" if name.endswith("seconds") and figures.requests_per_second is not None else "–"
    if name.endswith("_seconds"):
        return human(value, "second", 3)
    if name == "weights_bytes":
        return f"{value / GIB:,.1f} GiB"
    return f"{digits(1e3 * value)}" if name == "usd_per_request" else f"{value:,.0f}"


def caveats_table(advice: Advice, sources: Mapping[str, int]) -> Table:
    """What each technique takes, what it does to the answers, and what was assumed."""
    rows = [
        [each.technique.title, EFFORTS[each.technique.effort], _caveat(each, sources)] for each in advice.effects
    ]  # fmt: skip
    return Table("What it takes and what it does to the answers", ["technique", "takes", "answers"], rows)


def _caveat(effect: Effect, sources: Mapping[str, int]) -> str:
    technique = effect.technique
    mark = f" [{sources[technique.source.title]}]" if technique.source is not None and technique.source.title in sources else ""
    parts = [f"{technique.quality}{mark}"]
    parts += [f"assumed: {technique.assumed}"] if technique.assumed else []
    return "; ".join([*parts, *([effect.change.note] if effect.change.note else [])])


def sources_of(techniques: Sequence[Technique]) -> dict[str, int]:
    """The published sources of some techniques with their numbers."""
    titles = [each.source.title for each in techniques if each.source is not None and each.source.tier != "assumed"]
    return {title: number for number, title in enumerate(dict.fromkeys(titles), 1)}


def source_notes(advice: Advice, sources: Mapping[str, int]) -> list[str]:
    """The sources by number, with their day and address."""
    known = {each.technique.source.title: each.technique for each in advice.effects if each.technique.source is not None}
    notes = []
    for title, number in sources.items():
        one = known[title]
        assert one.source is not None
        notes.append(f"[{number}] {title}, {one.source.date}, {one.url}")
    return notes


def idle_table(advice: Advice) -> Table:
    """The techniques that do nothing here, and why."""
    rows = [[each.technique.title, each.reason] for each in advice.idle]
    return Table("Nothing to gain here", ["technique", "why"], rows)


def sensitivity_table(found: Sequence[Moved]) -> Table:
    """How far each figure moves when one input is a tenth lower or higher."""
    names = [name for name in SENSITIVE if any(each.lower.get(name) or each.higher.get(name) for each in found)]
    rows = [[each.input, *(_moves(each, name) for name in names)] for each in found]
    title = f"One input {STEP:.0%} lower / higher, all others as they are"
    return Table(title, ["input", *(SENSITIVE[name] for name in names)], rows, right=tuple(range(1, len(names) + 1)))


def _moves(each: Moved, name: str) -> str:
    return f"{_percent(each.lower.get(name))} / {_percent(each.higher.get(name))}"


def _percent(factor: float | None) -> str:
    return "–" if factor is None else f"{100 * (factor - 1):+.1f}%"
