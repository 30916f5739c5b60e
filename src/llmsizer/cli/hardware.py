"""``llmsizer hardware``: the catalog's devices, listed, searched and shown with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.command import PlainCommand
from llmsizer.cli.completion import devices
from llmsizer.cli.manner import remark, with_manner
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, option
from llmsizer.cli.output import checked_format, print_rows, print_tables
from llmsizer.core.files import write_whole
from llmsizer.question.words import checked_fraction, checked_integer
from llmsizer.report.nouns import DEVICE_HEADERS, SourceList, device_facts, device_nodes, device_peaks, device_row, matching
from llmsizer.report.tables import Table
from llmsizer.validation.run_files import read_run

PROBE_EXAMPLES = """Examples:

  llmsizer hardware probe --output my-device.yaml

  llmsizer hardware probe --record my-run.yaml --id my-device
"""

EXAMPLES = """Examples:

  llmsizer hardware list

  llmsizer hardware search h100

  llmsizer hardware show h100
"""
LIST_EXAMPLES = """Examples:

  llmsizer hardware list

  llmsizer hardware list --format csv > devices.csv
"""
SEARCH_EXAMPLES = """Examples:

  llmsizer hardware search h100
"""
SHOW_EXAMPLES = """Examples:

  llmsizer hardware show h100

  llmsizer hardware show mi300x --format json
"""

app = typer.Typer(help="The devices of the catalog.", epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None)


@app.command("list", cls=PlainCommand, epilog=LIST_EXAMPLES)
@with_manner
def list_hardware(format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Lists all devices."""
    nouns = catalog_of(catalog)
    rows = [device_row(nouns.accelerator(name)) for name in nouns.names("accelerators")]
    print_rows(Table("", DEVICE_HEADERS, rows, right=(2, 3, 4, 5)), checked_format(format_))


@app.command("search", cls=PlainCommand, epilog=SEARCH_EXAMPLES)
@with_manner
def search(
    text: Annotated[str, typer.Argument(help="A part of the name.")], format_: Format = "table", catalog: CatalogPaths = None
) -> None:
    """Lists the devices whose name contains a text."""
    nouns = catalog_of(catalog)
    names = dict.fromkeys(nouns.accelerator(name).id for name in matching(nouns.all_device_names(), text))
    if not names:
        print(f"no device's name resembles '{text[:60]}'")
        raise SystemExit(1)
    rows = [device_row(nouns.accelerator(name)) for name in names]
    print_rows(Table("", DEVICE_HEADERS, rows, right=(2, 3, 4, 5)), checked_format(format_))


@app.command("show", cls=PlainCommand, epilog=SHOW_EXAMPLES)
@with_manner
def show(
    name: Annotated[str, typer.Argument(help="A device of the catalog, e.g. h100.", autocompletion=devices)],
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Shows a device: its facts with their sources, its ridge points, the machines that hold it."""
    nouns = catalog_of(catalog)
    device = nouns.accelerator(name)
    sources = SourceList()
    tables = [device_peaks(device, sources), device_facts(device, sources)]
    nodes = device_nodes(device, nouns)
    tables += [nodes, sources.table()] if nodes.rows else [sources.table()]
    heading = f"{device.id}: {device.name}" + (f" (also {', '.join(device.aliases)})" if device.aliases else "")
    print_tables(heading, tables, checked_format(format_), notes=[device.notes] if device.notes else [])


@app.command("probe", cls=PlainCommand, epilog=PROBE_EXAMPLES)
@with_manner
def probe(
    record: Annotated[
        str | None, option("--record", text="Take the ceilings from this record of llmsizer measure.", metavar="FILE")
    ] = None,
    name: Annotated[str | None, option("--id", text="The id of the entry (default: from the driver's name).")] = None,
    kind: Annotated[str | None, option("--device", text="cuda or cpu (default: cuda where there is one).")] = None,
    threads: Annotated[
        str | None, option("--threads", text="Threads of a processor (default: all its cores).", metavar="NUMBER")
    ] = None,
    minutes: Annotated[str, option("--minutes", text="Measure at most so many minutes.", metavar="NUMBER")] = "3",
    output: Annotated[str | None, option("--output", "-o", text="Write the entry into this file.", metavar="FILE")] = None,
    catalog: CatalogPaths = None,
) -> None:
    """Makes a catalog entry for this device from its ceilings, to be laid over the catalog with --catalog."""
    from llmsizer.authoring.measure.probe import device_entry, entry_text

    nouns = catalog_of(catalog)
    found = _ceilings(kind, threads, minutes, nouns) if record is None else read_run(record)
    text = entry_text(*device_entry(found, name, nouns), found)
    if output is None:
        print(text, end="")
        return
    write_whole(output, text, "--output")
    remark(f"written: {output}")


def _ceilings(kind: str | None, threads: str | None, minutes: str, nouns: Catalog) -> Mapping[str, Any]:
    """A record of this device's ceilings alone."""
    from llmsizer.authoring.measure.session import Plan, grid_of, measure
    from llmsizer.authoring.measure.torch_device import open_device

    device = open_device(kind, None if threads is None else checked_integer("threads", threads, most=4096))
    seconds = 60 * checked_fraction("minutes", minutes, least=0.01, most=1e4)
    return measure(device, Plan(models=(), grid=grid_of(device), seconds=seconds), nouns)
