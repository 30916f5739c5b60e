"""Costs and prices as people read them: line items with their sources, and lists of dated prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmsizer.core.explain import Provenance
from llmsizer.cost.estimate import CostEstimate
from llmsizer.report.nouns import SourceList
from llmsizer.report.tables import Table
from llmsizer.schema.price import Assumption, Offer, Rate

PRICE_HEADERS = ("price", "provider", "device", "devices", "market", "region", "date", "USD/h", "USD/h per device")

# Figures of a cost by their key in `to_dict`, as they are shown.
SHOWN = {
    "usd_per_hour": ("cost per hour", "USD"),
    "usd_per_request": ("cost of a request", "USD"),
    "usd_per_million_input_tokens": ("cost of a million input tokens", "USD"),
    "usd_per_million_cached_input_tokens": ("cost of a million cached input tokens", "USD"),
    "usd_per_million_output_tokens": ("cost of a million output tokens", "USD"),
    "usd_per_user_month": ("cost of a user in a month", "USD"),
    "kwh_per_thousand_requests": ("energy of a thousand requests", "kWh"),
    "gco2e_per_thousand_requests": ("emissions of a thousand requests", "g CO2e"),
}


def short_prices(rows: Iterable[Sequence[str]]) -> Table:
    """Prices for a narrow terminal: without the provider, which the price's name begins with."""
    short = [
        [name, f"{count} × {device}", f"{market} {region}", date, price, share]
        for name, _, device, count, market, region, date, price, share in rows
    ]
    return Table("", ("price", "devices", "market", "date", "USD/h", "USD/h per device"), short, right=(4, 5))


def price_row(offer: Offer, rate: Rate) -> list[str]:
    """One dated price of an instance."""
    each = rate.hourly * 3600 / offer.accelerators
    market = rate.market + (" (suspect)" if rate.suspect else "")
    return [
        offer.id, offer.provider, offer.accelerator, str(offer.accelerators), market, rate.region, rate.date,
        f"{rate.hourly * 3600:,.4g}", f"{each:,.4g}",
    ]  # fmt: skip


def rate_table(offer: Offer, sources: SourceList) -> Table:
    """All dated prices of an instance, newest first, with the number of each one's source."""
    rates = sorted(offer.rates, key=lambda rate: (rate.first_day, rate.market), reverse=True)
    rows = [
        [rate.market, rate.region, rate.date, f"{rate.hourly * 3600:,.4f}", f"{rate.hourly * 3600 / offer.accelerators:,.4f}",
         sources.mark(Provenance(rate.source), ""), _rate_note(rate)]
        for rate in rates
    ]  # fmt: skip
    headers = ["market", "region", "date", "USD/h", "USD/h per device", "source", "note"]
    return Table("Prices", headers, rows, right=(3, 4))


def _rate_note(rate: Rate) -> str:
    parts = ["suspect: never chosen"] if rate.suspect else []
    if rate.low is not None and rate.high is not None:
        parts.append(f"{rate.low * 3600:,.4g} to {rate.high * 3600:,.4g}")
    return "; ".join([*parts, *([rate.note] if rate.note else [])])


def purchase_table(offer: Offer, sources: SourceList) -> Table:
    """What a device costs to buy."""
    rows = []
    for rate in offer.rates:
        span = f"{rate.low:,.0f} to {rate.high:,.0f}" if rate.low is not None and rate.high is not None else ""
        rows.append([rate.date, f"{rate.price:,.0f}", span, sources.mark(Provenance(rate.source), ""), rate.note])
    return Table("Purchase", ["date", "USD", "range", "source", "note"], rows, right=(1, 2))


def assumption_table(defaults: Iterable[Assumption], sources: SourceList) -> Table:
    """The defaults of the cost model with what each means and what makes it plausible."""
    rows = [
        [each.id, each.text, sources.mark(Provenance(replace(each.source, note="")), ""), each.source.note] for each in defaults
    ]
    return Table("Assumptions of the cost model", ["default", "value", "source", "meaning"], rows, right=(1,))


def item_table(cost: Mapping[str, Any]) -> Table:
    """The line items of a cost (as plain data) and their sum. A star marks an assumption."""
    rows = [
        [item["name"] + (" *" if item["assumption"] else ""), _amount(item["quantity"]), item["unit"],
         _amount(item["unit_price"]), item["price_unit"], _hourly(item["usd_per_hour"], f"depends on {item['depends_on']}")]
        for item in cost["items"]
    ]  # fmt: skip
    known = "total of what is known" if cost["depends_on"] else "total"
    rows.append([known, "", "", "", "", _hourly(cost["usd_per_hour"], "not known")])
    return Table("Cost", ["item", "quantity", "", "price", "", "USD/h"], rows, right=(1, 3, 5))


def _hourly(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.4f}"


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def figure_table(cost: Mapping[str, Any]) -> Table:
    """The figures of a cost that are known."""
    rows = [[label, f"{cost[key]:,.4g} {unit}"] for key, (label, unit) in SHOWN.items() if cost[key] is not None]
    return Table("", ["", "value"], rows, right=(1,))


def cost_tables(estimate: CostEstimate) -> tuple[list[Table], list[str]]:
    """The tables of a cost and the notes that belong to them."""
    cost = estimate.to_dict()
    notes = [*cost["notes"]]
    if cost["allocation"]:
        notes.append(f"the cost of a request is shared among its tokens by {cost['allocation']} (docs/cost.md)")
    starred = dict.fromkeys(item["source"] for item in cost["items"] if item["assumption"])
    notes += [f"* {source}" for source in starred]
    if cost["left_out"]:
        notes.append(f"not counted: {', '.join(name.replace('_', ' ') for name in cost['left_out'])}")
    return [item_table(cost), figure_table(cost)], notes
