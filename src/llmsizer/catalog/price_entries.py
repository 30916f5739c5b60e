"""Validation of prices in YAML: dated rates of rented instances and of devices bought, and defaults.

A price is never overwritten: where a file laid over the catalog names an instance that exists, its
rates are added. Everything wrong is reported with file, line and field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date as calendar_date
from typing import Any

from llmsizer.catalog.entries import Sources
from llmsizer.catalog.prices import cost_number
from llmsizer.catalog.records import Record
from llmsizer.core.errors import UnitError, nearest
from llmsizer.core.quantities import parse_quantity
from llmsizer.core.yaml import Document, KeyPath
from llmsizer.schema.price import ASSUMPTION_UNITS, MARKETS

OFFER_FIELDS: dict[str, type] = {"provider": str, "instance": str, "accelerator": str, "accelerators": int, "rates": list}
PURCHASE_FIELDS: dict[str, type] = {"includes_host": bool, "rates": list}
BOUGHT_RATE_FIELDS = ("price", "low", "high", "region", "date", "source", "suspect", "note")
RENTED_RATE_FIELDS = (*BOUGHT_RATE_FIELDS, "market", "term", "upfront")
ASSUMPTION_FIELDS = ("value", "source", "note")
_DAY = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
_DATE = re.compile(rf"({_DAY})(?:\.\.({_DAY}))?")


def price_record(section: str, name: str, raw: Mapping[str, Any], document: Document, sources: Sources) -> Record:
    """One entry of ``prices``, ``purchase_prices`` or ``cost_assumptions``, validated, in base units."""
    path = (section, name)
    if section == "cost_assumptions":
        return _assumption(name, raw, document, sources)
    known = OFFER_FIELDS if section == "prices" else PURCHASE_FIELDS
    _check_fields(raw, known, document, path)
    data: dict[str, Any] = {}
    for key, kind in known.items():
        if key not in raw:
            if key == "includes_host":
                continue
            raise document.error("is missing", (*path, key))
        data[key] = _typed(raw[key], kind, document, (*path, key))
    if data.get("accelerators", 1) < 1:
        raise document.error(f"expected at least 1, got {data['accelerators']}", (*path, "accelerators"))
    rented = section == "prices"
    data["rates"] = [
        _rate(rate, rented, document, (*path, "rates", number), sources) for number, rate in enumerate(raw["rates"])
    ]
    if not data["rates"]:
        raise document.error("has no rate", (*path, "rates"))
    return Record(data, (["", "", "specified", ""], {}), document.file)


def with_more_rates(below: Record, raw: Mapping[str, Any], path: KeyPath, document: Document, sources: Sources) -> Record:
    """An entry with the rates of a file laid over it added; nothing else of it may change."""
    known = OFFER_FIELDS if path[0] == "prices" else PURCHASE_FIELDS
    _check_fields(raw, known, document, path)
    for key, value in raw.items():
        if key != "rates" and below.data.get(key) != value:
            hint = "Rates are added to an entry; give another instance an id of its own."
            raise document.error(f"differs from the entry that exists ({below.data.get(key)})", (*path, key), hint)
    given = _typed(raw.get("rates", []), list, document, (*path, "rates"))
    rented = path[0] == "prices"
    added = [_rate(rate, rented, document, (*path, "rates", number), sources) for number, rate in enumerate(given)]
    return Record({**below.data, "rates": [*below.data["rates"], *added]}, below.sources, document.file)


def _check_fields(raw: Any, known: Any, document: Document, path: KeyPath) -> None:
    if not isinstance(raw, Mapping):
        raise document.error("expected a mapping of fields", path)
    for key in raw:
        if key not in known:
            near = nearest(str(key), known)
            hint = f"Did you mean: {', '.join(near)}?" if near else f"Known fields: {', '.join(known)}"
            raise document.error("not a known field", (*path, key), hint)


def _typed(value: Any, kind: type, document: Document, path: KeyPath) -> Any:
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not right:
        words = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}
        raise document.error(f"expected {words[kind]}, got {str(value)[:60]!r}", path)
    return value


def _rate(raw: Any, rented: bool, document: Document, path: KeyPath, sources: Sources) -> dict[str, Any]:
    _check_fields(raw, RENTED_RATE_FIELDS if rented else BOUGHT_RATE_FIELDS, document, path)
    unit = "USD/second" if rented else "USD"
    for key in ("price", "date", *(("market",) if rented else ())):
        if key not in raw:
            raise document.error("is missing", (*path, key))
    data: dict[str, Any] = {"date": checked_date(raw["date"], document, (*path, "date"))}
    for key, wanted in (("price", unit), ("low", unit), ("high", unit), ("term", "second"), ("upfront", "USD")):
        if key in raw:
            data[key] = _quantity(raw[key], wanted, document, (*path, key))
    if not data["price"] > 0:
        raise document.error("expected a positive price", (*path, "price"))
    if not data.get("low", 0) <= data["price"] <= data.get("high", float("inf")):
        raise document.error("does not lie between low and high", (*path, "price"))
    _check_market(raw, rented, document, path)
    for key, kind in (("market", str), ("region", str), ("note", str), ("suspect", bool)):
        if key in raw:
            data[key] = _typed(raw[key], kind, document, (*path, key))
    source = sources.best(raw.get("source"), (*path, "source"))
    data["source"] = [source.title, source.date, source.tier, source.note]
    return data


def _check_market(raw: Mapping[str, Any], rented: bool, document: Document, path: KeyPath) -> None:
    if not rented:
        return
    market = raw["market"]
    if market not in MARKETS:
        near = nearest(str(market), MARKETS)
        hint = f"Did you mean: {', '.join(near)}?" if near else ""
        raise document.error(f"expected one of {', '.join(MARKETS)}, got '{str(market)[:40]}'", (*path, "market"), hint)
    if (market == "reserved") != ("term" in raw):
        wrong = "is missing: a reserved price holds for a term" if market == "reserved" else "belongs to reserved prices only"
        raise document.error(wrong, (*path, "term"), "for example: term: 1 year")


def checked_date(value: Any, document: Document, path: KeyPath) -> str:
    """A day, month, year or span as text; CatalogError when it is none."""
    text = str(value)
    match = _DATE.fullmatch(text)
    try:
        ends = [_day(end) for end in match.groups() if end] if match else None
    except ValueError:
        ends = None
    if ends is None:
        hint = "Write 2026-07-20, 2026-07, 2026, or a span such as 2025-12..2026-07."
        raise document.error(f"expected a date, got '{text[:40]}'", path, hint)
    if ends != sorted(ends):
        raise document.error(f"the span '{text}' ends before it begins", path)
    return text


def _day(text: str) -> calendar_date:
    """The first day of a year, a month or a day."""
    return calendar_date(*map(int, [*text.split("-"), "1", "1"][:3]))


def _quantity(value: Any, unit: str, document: Document, path: KeyPath) -> float:
    try:
        number = parse_quantity(value, unit)
    except UnitError as error:
        raise document.error(error.message, path, error.hint) from None
    if number < 0:
        raise document.error(f"expected no negative number, got {value}", path)
    return number


def _assumption(name: str, raw: Mapping[str, Any], document: Document, sources: Sources) -> Record:
    path = ("cost_assumptions", name)
    if name not in ASSUMPTION_UNITS:
        near = nearest(name, ASSUMPTION_UNITS)
        hint = f"Did you mean: {', '.join(near)}?" if near else f"Known: {', '.join(ASSUMPTION_UNITS)}"
        raise document.error("not a known default of the cost model", path, hint)
    _check_fields(raw, ASSUMPTION_FIELDS, document, path)
    if "value" not in raw:
        raise document.error("is missing", (*path, "value"))
    try:
        number = cost_number(name, raw["value"])
    except UnitError as error:
        raise document.error(error.message, (*path, "value"), error.hint) from None
    source = sources.best(raw.get("source"), (*path, "source"))
    note = "; ".join(text for text in (source.note, str(raw.get("note", ""))) if text)
    data = {"value": number, "text": str(raw["value"])}
    return Record(data, ([source.title, source.date, source.tier, note], {}), document.file)
