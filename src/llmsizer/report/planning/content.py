"""What a planning report says: the answers first, then how each was found and what it rests on."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from llmsizer import __version__
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.package_data import source_hash
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.render import explanation
from llmsizer.handover.benchmark import benchmark_command
from llmsizer.handover.command import launch_command
from llmsizer.planner.picks import Pick
from llmsizer.planner.plan import Plan
from llmsizer.planner.planning import Answer, Planning
from llmsizer.report.cost import cost_tables
from llmsizer.report.plan import (
    answer_rows,
    evidence_text,
    load_text,
    pick_name,
    picks_table,
    plan_heading,
    pools_table,
    rejected_table,
    rows_table,
)
from llmsizer.report.planning.blocks import Block, Code, Facts, Folded, Paragraph, Picture, Report, Section
from llmsizer.report.planning.pictures import MAKERS, OF_EVERY_SCENARIO, pictures
from llmsizer.report.planning.sources import source_table
from llmsizer.report.tables import Table

TITLE = "Plan"
DERIVED = {
    "latency.ttft_seconds": "time to the first token",
    "latency.tpot_seconds": "time of a token",
    "memory.per_gpu.kv_cache_bytes": "KV cache of one device",
}
DEPTH = 4


def report_of(planning: Planning, plots: bool = True) -> Report:
    """The report of a planning; without ``plots`` the numbers of the pictures alone.

    Everything is drawn for the first answer, and for the others what depends on the scenario most.
    """
    several = len(planning.answers) > 1
    first = planning.answers[0].plan
    head: list[Block] = [overview(planning)] if several else [Paragraph(plan_heading(first.question)), answer_facts(first)]
    drawn = [MAKERS, *([OF_EVERY_SCENARIO] * (len(planning.answers) - 1))] if plots else [()] * len(planning.answers)
    sections = [answer_section(each, names, several) for each, names in zip(planning.answers, drawn, strict=True)]
    return Report(planning.title or TITLE, planning.description, head, sections, made_with(first.candidates.catalog))


def made_with(catalog: Catalog) -> list[tuple[str, str]]:
    """Date and versions: all of a report that may differ between equal runs."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    day = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    overlays = ", ".join(os.path.basename(path) for path in catalog.overlays)
    return [
        ("date", day.date().isoformat()), ("llmsizer", __version__), ("catalogs", source_hash()[:12]),
        *([("laid over", overlays)] if overlays else []), ("Python", platform.python_version()),
    ]  # fmt: skip


def overview(planning: Planning) -> Table:
    """One line for every workload of every scenario, and the sum of each scenario with several workloads."""
    rows: list[list[str]] = []
    for scenario, answers in planning.scenarios.items():
        rows += [[each.name, *_overview_cells(each.plan)] for each in answers]
        if len(answers) > 1:
            cost = planning.usd_per_hour(scenario)
            rows.append(
                [f"{scenario}: all".removeprefix(": "), "", "not known" if cost is None else f"{cost:,.2f}", "", "", ""]
            )
    return Table("", ["", "run", "USD/h", "least room", "evidence", "load"], rows, right=(2,))


def _overview_cells(plan: Plan) -> list[str]:
    load, best = load_text(plan.question), plan.best
    if best is None:
        return [f"nothing meets the targets; nearest: {'; '.join(plan.nearest[:1]) or 'none'}", "", "", "", load]
    return [pick_name(best), f"{best.usd_per_hour:,.2f}", _tightest(best), best.estimate.evidence.tier, load]


def _tightest(pick: Pick) -> str:
    """The target with the least room, and how much that is."""
    if not pick.margins:
        return "no targets"
    tightest = min(pick.margins, key=lambda margin: margin.room)
    return f"{tightest.target.title}: {f'{tightest.room:.0%} to spare' if tightest.is_met else 'missed'}"


def answer_facts(plan: Plan) -> Facts:
    """The answer as labels and texts."""
    return Facts(answer_rows(plan))


def answer_section(answer: Answer, drawn: Collection[str], named: bool) -> Section:
    """Everything about one answer."""
    plan = answer.plan
    blocks: list[Block] = [Paragraph(plan_heading(plan.question)), answer_facts(plan)] if named else []
    if plan.best is None:
        blocks += _pools(plan)
    else:
        blocks += [picks_table(plan), *_pools(plan), *_figures(list(pictures(plan, drawn)))]
        blocks.append(Section("Start it", list(_launch(plan.best)), 3))
    blocks.append(Section("What else would do, and what would not", list(_others(plan)), 3))
    if plan.best is not None:
        blocks.append(Section("What it rests on", list(_grounds(plan.best)), 3))
    return Section(answer.name or "How it was found", blocks)


def _pools(plan: Plan) -> list[Block]:
    return [pools_table(plan)] if plan.pools else []


def _figures(pictures: Sequence[Picture]) -> Iterator[Block]:
    """The drawn pictures under a heading; of the others the numbers, folded."""
    drawn = [each for each in pictures if each.svg]
    if drawn:
        yield Section("Figures", drawn, 3)
    for each in pictures:
        if not each.svg:
            yield Folded(each.title, [Paragraph(each.about), each.numbers])


def _launch(pick: Pick) -> Iterator[Block]:
    """The command of one replica, and the benchmark that would check it."""
    try:
        command = launch_command(pick.estimate)
    except LlmsizerError as refusal:
        yield Paragraph(str(refusal))
        return
    replicas = f"{pick.replicas} replicas, each started with:" if pick.replicas > 1 else "One replica, started with:"
    yield Paragraph(replicas)
    yield Code("sh", str(command))
    yield Folded("The benchmark that checks it", [Code("sh", str(benchmark_command(pick.estimate)))])


def _others(plan: Plan) -> Iterator[Block]:
    yield Paragraph(f"{plan.candidates.tried:,} candidates were tried, {len(plan.candidates):,} of them fit in memory.")
    for table in (
        rows_table("Best of each device", plan.alternatives, None),
        rows_table("Not beaten in cost, latency and throughput at once", plan.front, None),
    ):
        if table.rows:
            yield Folded(table.title, [Table("", table.headers, table.rows, table.right)])
    table = rejected_table(plan)
    if table.rows:
        yield Folded(f"{table.title}, with reasons", [Table("", table.headers, table.rows, table.right)])


def _grounds(pick: Pick) -> Iterator[Block]:
    yield Paragraph(f"Evidence: {evidence_text(pick)}.")
    tables, notes = cost_tables(pick.cost)
    yield Folded("Cost, item by item", [*tables, *(Paragraph(note) for note in notes)])
    values = {title: pick.estimate.value(path) for path, title in DERIVED.items()}
    values["cost"] = pick.cost.value("usd_per_hour")
    yield Folded("Facts and assumptions with their sources", [source_table(list(values.values()))])
    for title, value in values.items():
        yield Folded(f"Derivation: {title}", [Code("text", explanation(value, DEPTH))])
    if pick.estimate.notes:
        yield Folded("Notes of the estimate", [Paragraph(note) for note in pick.estimate.notes])
