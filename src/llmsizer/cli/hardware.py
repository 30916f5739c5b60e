"""``llmsizer hardware``: the catalog's devices, listed, searched and shown with their sources."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_rows, print_tables
from llmsizer.report.nouns import DEVICE_HEADERS, SourceList, device_facts, device_nodes, device_peaks, device_row, matching
from llmsizer.report.tables import Table

app = typer.Typer(help="The devices of the catalog.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_hardware(format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Lists all devices."""
    nouns = catalog_of(catalog)
    rows = [device_row(nouns.accelerator(name)) for name in nouns.names("accelerators")]
    print_rows(Table("", DEVICE_HEADERS, rows, right=(2, 3, 4, 5)), checked_format(format_))


@app.command("search")
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


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A device of the catalog, e.g. h100.")],
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
