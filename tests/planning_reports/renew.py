"""Renews the golden reports: ``python tests/planning_reports/renew.py``; then read the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import llmsizer
from llmsizer.planner.plan_file import read_plan_file
from llmsizer.planner.planning import Planning
from llmsizer.report.planning.blocks import Block, Folded, Section
from llmsizer.report.planning.content import report_of
from llmsizer.report.planning.html import as_html
from llmsizer.report.planning.markdown import as_markdown
from llmsizer.report.planning.writing import csv_of

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
# Facts of engines, which the built-in catalogs hold, and what is derived from them.
OF_THE_CATALOG = ("Derivation", "Facts and assumptions")


def golden_texts(planning: Planning) -> dict[str, str]:
    """The reports by their endings: without drawings, versions, and texts that rest on the built-in catalogs."""
    report = report_of(planning, plots=False)
    report = replace(report, sections=_lasting(report.sections), made_with=[("date", "2026-01-01")])
    return {".md": as_markdown(report), ".html": as_html(report), ".csv": csv_of(planning) + "\n"}


def _lasting(blocks: Sequence[Block]) -> list[Block]:
    kept = [each for each in blocks if not (isinstance(each, Folded) and each.title.startswith(OF_THE_CATALOG))]
    return [replace(each, blocks=_lasting(each.blocks)) if isinstance(each, Section) else each for each in kept]


def main() -> None:
    world = llmsizer.load_catalog(HERE / "catalog.yaml")
    for suffix, text in golden_texts(read_plan_file(HERE / "plan.yaml", world).answer(world)).items():
        (GOLDEN / f"report{suffix}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
