"""``llmsizer prices``: the catalog's prices, listed, searched and shown with their dates and sources."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption, node_of, offer, offers, price_names, purchase_offer
from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_rows, print_tables
from llmsizer.core.errors import UnknownName, UnsupportedCombination
from llmsizer.cost.rates import checked_day, rate_of
from llmsizer.report.cost import PRICE_HEADERS, assumption_table, price_row, purchase_table, rate_table
from llmsizer.report.nouns import matching
from llmsizer.report.tables import Table
from llmsizer.schema.price import MARKETS, Offer

app = typer.Typer(help="The prices of the catalog.", no_args_is_help=True, rich_markup_mode=None)

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
    print_rows(Table("", PRICE_HEADERS, rows, right=(3, 7, 8)), checked_format(form))


@app.command("list")
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


@app.command("search")
def search(text: str, price_date: PriceDate = None, format_: Format = "table", catalog: CatalogPaths = None) -> None:
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


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A price, a device to buy, or 'assumptions'.")],
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Shows every dated price of an instance, what a device costs to buy, or the cost model's defaults."""
    nouns = catalog_of(catalog)
    form = checked_format(format_)
    if name == "assumptions":
        defaults = [assumption(nouns, each) for each in nouns.names("cost_assumptions")]
        print_tables("assumptions", [assumption_table(defaults)], form)
        return
    bought = _purchase(nouns, name)
    if bought is not None:
        print_tables(bought.id, [purchase_table(bought)], form, notes=["a whole machine"] if bought.includes_host else [])
        return
    found = offer(nouns, name)
    heading = f"{found.id}: {found.provider} {found.instance}, {found.accelerators} × {found.accelerator}"
    node = node_of(nouns, found)
    notes = (
        [f"machine: {node.id} in hardware_catalog.yaml"] if node is not None else ["no machine of this shape in the catalog"]
    )
    print_tables(heading, [rate_table(found)], form, notes=notes)


def _purchase(nouns: Catalog, name: str) -> Offer | None:
    """The purchase price of a device, when the name is one and no rented instance has it."""
    if name in price_names(nouns):
        return None
    try:
        return purchase_offer(nouns, nouns.accelerator(name).id)
    except UnknownName:
        return None
