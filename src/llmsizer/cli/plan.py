"""``llmsizer plan``: what to run for a workload and its targets, at the lowest cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.emit import Emit, print_emitted_plans
from llmsizer.cli.manner import remark
from llmsizer.cli.options import QUESTION, CatalogPaths, Format, catalog_of, option, with_words
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.cli.progress import Progress
from llmsizer.core.errors import InvalidQuestion
from llmsizer.planner.ask import PLAIN_WORDS, question_of
from llmsizer.planner.plan import Plan, plan_question
from llmsizer.planner.planning import Answer, Planning
from llmsizer.report.memory import paragraphs
from llmsizer.report.plan import (
    MOST_REJECTED,
    answer_lines,
    every_table,
    left_out,
    plan_heading,
    short_tables,
    total_lines,
)

EXAMPLES = """Examples:

  llmsizer plan -m llama-3.1-8b --rate 5 --ttft 500ms --tpot 40ms

  llmsizer plan -m llama-3.1-70b --rate 10 --targets interactive --gpus h100,h200,l40s --formats auto,fp8,awq

  llmsizer plan -m llama-3.1-8b --rate 5 --targets interactive --emit k8s

  llmsizer plan -m llama-3.1-70b --rate 5 --by ttft --budget "20 USD/h"

  llmsizer plan -m llama-3.1-70b --tpot 40ms --by throughput -g h100 --quota 8

  llmsizer plan examples/plan.yaml -o report.html

  llmsizer plan --init plan.yaml
"""

Text = str | None
# One line a word: its type, its default, its flags and help.
# ruff: noqa: E501
CHOICES: dict[str, tuple[Any, Any, Any]] = {
    "hardware": (Text, None, option("--gpus", "-g", text="Devices to choose from, or any (default).", metavar="NAMES")),
    "vendors": (Text, None, option("--vendors", text="Vendors to choose from.", metavar="NAMES")),
    "engines": (Text, None, option("--engines", "-e", text="Engines to choose from (vllm).", metavar="NAMES")),
    "formats": (Text, None, option("--formats", "-q", text="Weight formats: auto (the checkpoint's), fp8 … or any (auto,fp8).", metavar="NAMES")),
    "cache_formats": (Text, None, option("--cache-formats", text="KV cache formats: auto, fp8 … or any (auto).", metavar="NAMES")),
    "targets": (Text, None, option("--targets", text="A preset: interactive, agent or batch.", metavar="NAME")),
    "ttft": (Text, None, option("--ttft", text="Longest time to the first token.", metavar="TIME")),
    "tpot": (Text, None, option("--tpot", text="Longest time for each further token.", metavar="TIME")),
    "e2e": (Text, None, option("--e2e", text="Longest time to the last token.", metavar="TIME")),
    "percentile": (Text, None, option("--percentile", text="Of the targets: mean, p50, p90, p95 (default) or p99.", metavar="NAME")),
    "providers": (Text, None, option("--providers", text="Providers to rent from.", metavar="NAMES")),
    "regions": (Text, None, option("--regions", text="Regions to rent in.", metavar="NAMES")),
    "markets": (Text, None, option("--markets", text="on-demand (default), spot, reserved.", metavar="NAMES")),
    "most_devices": (Text, None, option("--max-gpus", text="Most devices of a replica (16).", metavar="NUMBER")),
    "most_devices_in_all": (Text, None, option("--quota", text="Most devices in all.", metavar="NUMBER")),
    "most_usd_per_hour": (Text, None, option("--budget", "--max-price", text="Most money per time, e.g. '50 USD/h'.", metavar="PRICE")),
    "most_watts": (Text, None, option("--max-power", text="Board power in all, e.g. '10 kW'.", metavar="POWER")),
    "headroom": (Text, None, option("--headroom", text="Share of the capacity kept free.", metavar="SHARE")),
    "spare": (Text, None, option("--spare", text="Replicas beyond the need (1: N+1).", metavar="NUMBER")),
    "growth": (Text, None, option("--growth", text="Demand to come, as a multiple (3).", metavar="NUMBER")),
    "by": (Text, None, option("--by", text="What the best is: cost (default), ttft, tpot, e2e, throughput or devices. All but cost and devices use what the limits allow.", metavar="FIGURE")),
    "picks": (Text, None, option("--picks", text="How many to ask again and simulate (5).", metavar="NUMBER")),
    "disaggregated": (bool, False, option("--disaggregated", text="Also try separate pools for prefill and decode.")),
    "confirm": (bool | None, None, option("--simulate/--no-simulate", text="Confirm the picks by simulation (default).")),
}  # fmt: skip
WORDS = {
    name: ((Text, None, QUESTION[name][2]) if name == "model" else QUESTION[name])
    for name in QUESTION if name in (*PLAIN_WORDS, "concurrency", "request_rate", "price", "price_date")
}  # fmt: skip
Output = Annotated[
    list[str] | None,
    typer.Option("--output", "-o", help="Write a report into this .html, .md, .json or .csv file; may be given more than once.", metavar="FILE"),
]  # fmt: skip


@with_words({**WORDS, **CHOICES})
def command(
    words: Mapping[str, Any],
    file: Annotated[Text, typer.Argument(help="A plan file (YAML) instead of options.", metavar="[FILE]")] = None,
    output: Output = None,
    plots: Annotated[
        bool, typer.Option("--plots/--no-plots", help="Whether an HTML report has drawings (default).", show_default=False)
    ] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every candidate and every device that is not chosen.")
    ] = False,
    emit: Emit = None,
    init: Annotated[bool, typer.Option("--init", help="Write a commented plan file (to FILE, or print it).")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of plan files, for editors.")] = False,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Finds the cheapest hardware and settings that meet the targets, and says why the others do not."""
    if init or schema:
        write_starter(file) if init else print_schema()
        return
    form, paths, nouns = checked_format(format_), checked_outputs(output, plots), catalog_of(catalog)
    with Progress() as progress:
        planning = answered(file, words, nouns, progress)
    write_reports(planning, paths, plots)
    if emit is not None:
        print_emitted_plans(planning, emit, form)
    elif not paths or form != "table":
        print_planning(planning, form, everything)
    if not planning.meets_targets:
        raise SystemExit(1)


def answered(file: Text, words: Mapping[str, Any], nouns: Catalog, progress: Callable[[int, int], None]) -> Planning:
    """The plans of a file, or the one that the options ask for."""
    if file is None:
        return Planning("", "", (Answer("", "", plan_question(question_of(asked(words)), nouns, progress)),))
    typed = [name for name, value in words.items() if value != {**WORDS, **CHOICES}[name][1]]
    if typed:
        raise InvalidQuestion(f"a plan file and --{typed[0].replace('_', '-')} exclude each other", "write it into the file")
    from llmsizer.planner.plan_file import read_plan_file

    return read_plan_file(file, nouns).answer(nouns, progress)


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a plan from its options."""
    words = dict(given)
    percentile = words.pop("percentile", None)
    suffix = f"_{percentile}" if percentile else ""
    times = {f"{name}{suffix}": words.pop(name) for name in ("ttft", "tpot", "e2e") if name in words}
    if times and "targets" in words:
        raise InvalidQuestion(
            "--targets and single targets exclude each other", "leave out --targets, or --ttft, --tpot and --e2e"
        )
    if times:
        words["targets"] = times
    return words


def checked_outputs(output: list[str] | None, plots: bool) -> list[Path]:
    """The files to write, refused before anything is computed where they could not be made."""
    if not output:
        return []
    from llmsizer.report.planning.writing import check_output

    for each in output:
        check_output(Path(each), plots)
    return [Path(each) for each in output]


def write_reports(planning: Planning, paths: list[Path], plots: bool) -> None:
    """Writes the report into every file that was asked for."""
    from llmsizer.report.planning.writing import write_report

    for path in paths:
        write_report(planning, path, plots)
        remark(f"{path}: written")


def write_starter(file: Text) -> None:
    """Writes the commented plan file, never over another file; without a name it is printed."""
    from llmsizer.planner.starter import starter_text

    if file is None:
        print(starter_text(), end="")
        return
    from llmsizer.core.files import write_whole

    if Path(file).exists():
        raise InvalidQuestion(f"{file} is there already", "give another name")
    write_whole(Path(file), starter_text())
    remark(f"{file}: written; llmsizer plan {file} answers it")


def print_schema() -> None:
    """Prints the JSON Schema of plan files."""
    from llmsizer.planner.plan_schema import plan_json_schema
    from llmsizer.report.tables import as_json

    print(as_json(plan_json_schema()))


def print_planning(planning: Planning, form: str, everything: bool) -> None:
    """Prints the plans in one of the output formats."""
    if form != "table":
        from llmsizer.report.planning.writing import report_text

        print(report_text(planning, {"json": ".json", "csv": ".csv", "markdown": ".md"}[form], plots=False), end="")
        return
    for place, answer in enumerate(planning.answers):
        if place:
            print()
        if answer.name:
            print(f"== {answer.name} ==")
        print_plan(answer.plan, everything)
    for line in total_lines(planning):
        print(f"\n{line}")


def print_plan(plan: Plan, everything: bool = False) -> None:
    """Prints a plan: on a screen or two, or with everything that was found."""
    print("\n".join([*paragraphs([plan_heading(plan.question)], width(), 2), "", *paragraphs(answer_lines(plan), width()), ""]))
    shown = every_table(plan) if everything else short_tables(plan)
    tables = [table for table in shown if table.rows]
    missing = 0 if everything else left_out(plan, MOST_REJECTED)
    notes = [f"{missing} more devices are not chosen; --all prints them, and all candidates"] if missing else []
    print_tables(f"{plan.candidates.tried:,} candidates tried, {len(plan.candidates):,} fit", tables, "table", notes)
