"""``llmsizer prices``: the catalog's prices, listed, searched and shown with their dates and sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption, node_of, offer, offers, offers_for, purchase_offer
from llmsizer.cli.command import PlainCommand
from llmsizer.cli.manner import with_manner
from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, has_width, print_rows, print_tables
from llmsizer.core.errors import UnknownName, UnsupportedCombination
from llmsizer.cost.rates import checked_day, rate_of
from llmsizer.report.cost import PRICE_HEADERS, assumption_table, price_row, purchase_table, rate_table, short_prices
from llmsizer.report.nouns import SourceList, matching
from llmsizer.report.tables import Table
from llmsizer.schema.price import MARKETS, Offer

EXAMPLES = """Examples:

  llmsizer prices list --gpu h100

  llmsizer prices search lambda

  llmsizer prices show h100
"""
LIST_EXAMPLES = """Examples:

  llmsizer prices list --gpu h100

  llmsizer prices list --price-date 2026-06-30 --format csv
"""
SEARCH_EXAMPLES = """Examples:

  llmsizer prices search lambda
"""
SHOW_EXAMPLES = """Examples:

  llmsizer prices show h100

  llmsizer prices show assumptions
"""

app = typer.Typer(help="The prices of the catalog.", epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None)

PriceDate = Annotated[
    str | None, typer.Option("--price-date", help="Prices as of a day (default: the newest).", metavar="YYYY-MM-DD")
]


def _rows(found: list[Offer], as_of: str | None) -> list[list[str]]:
    """The valid price of each instance in each market that has one."""
    rows = []
    for each in found:
        for market in MARKETS:
            try:
                rows.append(price_row(each, rate_of(each, market, None, as_of)))
            except UnsupportedCombination:
                continue
    return rows


def _print(rows: list[list[str]], form: str) -> None:
    print_rows(_table(rows, checked_format(form)), form)


def _table(rows: list[list[str]], form: str, title: str = "") -> Table:
    """The prices of some instances, in short where they are to fit a narrow terminal."""
    if form == "table" and has_width():
        return replace(short_prices(rows), title=title)
    return Table(title, PRICE_HEADERS, rows, right=(3, 7, 8))


@app.command("list", cls=PlainCommand, epilog=LIST_EXAMPLES)
@with_manner
def list_prices(
    gpu: Annotated[str | None, typer.Option("--gpu", "-g", help="Only prices of this device.", metavar="NAME")] = None,
    price_date: PriceDate = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Lists the valid price of every instance: the newest, or as of a day; cheapest per device first."""
    nouns = catalog_of(catalog)
    device = nouns.accelerator(gpu).id if gpu else None
    found = [each for each in offers(nouns).values() if device in (None, each.accelerator)]
    rows = _rows(found, checked_day(price_date) if price_date else None)
    _print(sorted(rows, key=lambda row: float(row[-1].replace(",", ""))) if device else rows, format_)
    if not rows:
        raise SystemExit(1)


@app.command("search", cls=PlainCommand, epilog=SEARCH_EXAMPLES)
@with_manner
def search(
    text: Annotated[str, typer.Argument(help="A part of the name.")],
    price_date: PriceDate = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Lists the prices whose instance, provider or device contains a text."""
    nouns = catalog_of(catalog)
    known = offers(nouns)
    wanted = text.lower()
    found = [
        each for each in known.values() if any(wanted in name.lower() for name in (each.id, each.provider, each.accelerator))
    ]
    found = found or [known[name] for name in matching(list(known), text) if name in known]
    rows = _rows(found, checked_day(price_date) if price_date else None)
    if not rows:
        print(f"no price's name resembles '{text[:60]}'")
        raise SystemExit(1)
    _print(rows, format_)


@app.command("show", cls=PlainCommand, epilog=SHOW_EXAMPLES)
@with_manner
def show(
    name: Annotated[str, typer.Argument(help="A price, a device, or 'assumptions'.")],
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Shows every dated price of an instance, what a device costs to rent and to buy, or the defaults."""
    nouns, form, sources = catalog_of(catalog), checked_format(format_), SourceList()
    if name == "assumptions":
        defaults = assumption_table([assumption(nouns, each) for each in nouns.names("cost_assumptions")], sources)
        print_tables("assumptions", [defaults, sources.table()], form)
        return
    device = _device(nouns, name)
    if device is not None:
        _show_device(nouns, device, form, sources)
        return
    found = offer(nouns, name)
    heading = f"{found.id}: {found.provider} {found.instance}, {found.accelerators} × {found.accelerator}"
    node = node_of(nouns, found)
    note = f"machine: {node.id} in hardware_catalog.yaml" if node is not None else "no machine of this id in the catalog"
    print_tables(heading, [rate_table(found, sources), sources.table()], form, notes=[note])


def _device(nouns: Catalog, name: str) -> str | None:
    """The id of a device, unless the name is the id of a price."""
    if name.lower() in (known.lower() for known in nouns.names("prices")):
        return None
    try:
        return nouns.accelerator(name).id
    except UnknownName:
        return None


def _show_device(nouns: Catalog, device: str, form: str, sources: SourceList) -> None:
    bought = purchase_offer(nouns, device)
    tables = [purchase_table(bought, sources), sources.table()] if bought is not None else []
    rents = _table(_rows(offers_for(nouns, device), None), form, "Rent")
    notes = ["the purchase is of a whole machine"] if bought is not None and bought.includes_host else []
    if not tables and not rents.rows:
        print(f"no price of {device} is known")
        raise SystemExit(1)
    print_tables(device, [*([rents] if rents.rows else []), *tables], form, notes=notes)
