"""Prices as nouns: instances for rent, devices to buy, and the defaults of the cost model."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.records import Record
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName
from llmsizer.core.explain import Source
from llmsizer.core.quantities import parse_quantity
from llmsizer.schema.accelerator import Node
from llmsizer.schema.price import ASSUMPTION_UNITS, Assumption, Offer, Rate


def offers(catalog: Catalog) -> dict[str, Offer]:
    """All instances for rent by id."""
    return {name: _offer(catalog, "prices", name) for name in catalog.names("prices")}


def offer(catalog: Catalog, name: str) -> Offer:
    """An instance for rent by id or by its provider's own name. Raises UnknownName with the nearest."""
    found = find_offer(catalog, name)
    if found is None:
        raise UnknownName("price", name, price_names(catalog), "`llmsizer prices list` prints all.")
    return found


def find_offer(catalog: Catalog, name: str) -> Offer | None:
    """An instance for rent by id or by its provider's own name; None when there is none."""
    wanted = name.strip().lower()
    for known in catalog.names("prices"):
        if known.lower() == wanted:
            return _offer(catalog, "prices", known)
    same = [each for each in offers(catalog).values() if each.instance.lower() == wanted]
    if len(same) > 1:
        raise InvalidQuestion(f"several providers have a '{name[:60]}'", f"one of: {', '.join(each.id for each in same)}")
    return same[0] if same else None


def offers_for(catalog: Catalog, accelerator: str, provider: str | None = None) -> list[Offer]:
    """The instances that hold a device, of one provider or of all."""
    return [
        each
        for each in offers(catalog).values()
        if each.accelerator == accelerator and (provider is None or each.provider == provider)
    ]


def providers(catalog: Catalog) -> list[str]:
    """The names of all providers."""
    return list(dict.fromkeys(each.provider for each in offers(catalog).values()))


def find_provider(catalog: Catalog, name: str) -> str | None:
    """A provider by its name, in any case and with any separators; None when there is none."""
    return next((known for known in providers(catalog) if _folded(known) == _folded(name)), None)


def price_names(catalog: Catalog) -> list[str]:
    """Everything a price word may name."""
    known = offers(catalog)
    return [*known, *providers(catalog), *(each.instance for each in known.values())]


def node_of(catalog: Catalog, price: Offer) -> Node | None:
    """The machine of the hardware catalog that an instance is: the one with its id. None when the
    catalog knows none."""
    return catalog.node(price.id) if price.id in catalog.names("nodes") else None


def purchase_offer(catalog: Catalog, accelerator: str) -> Offer | None:
    """What a device costs to buy; None when that is not known."""
    return _offer(catalog, "purchase_prices", accelerator) if accelerator in catalog.names("purchase_prices") else None


def assumption(catalog: Catalog, name: str) -> Assumption:
    """A default of the cost model. Raises UnknownName."""
    if name not in catalog.names("cost_assumptions"):
        raise UnknownName("cost assumption", name, ASSUMPTION_UNITS)
    found = catalog.records["cost_assumptions"][name]
    return Assumption(
        id=name, number=found.data["value"], unit=ASSUMPTION_UNITS[name], text=found.data["text"],
        source=found.provenance().default,
    )  # fmt: skip


def cost_number(name: str, value: Any, unit: str | None = None) -> float:
    """A number of the cost model in base units, from text with its unit; shares may be bare or in percent.

    ``unit``: what it measures, where ``name`` is not one of the defaults.

    >>> cost_number("residual", "10 %")
    0.1

    Raises UnitError when it is no number, negative, or of another unit.
    """
    wanted = unit or ASSUMPTION_UNITS[name]
    if wanted == "1" and not isinstance(value, bool) and re.fullmatch(r"\s*[\d.]+(?:[eE][-+]?\d+)?\s*", str(value)):
        value = f"{value} 1"
    number = parse_quantity(value, wanted)
    if number < 0:
        raise UnitError(f"expected no negative number, got {value}")
    return number


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _offer(catalog: Catalog, section: str, name: str) -> Offer:
    made: Any = catalog._made
    key = (section, name)
    if key not in made:
        made[key] = offer_of(name, catalog.records[section][name])
    return made[key]  # type: ignore[no-any-return]


def offer_of(name: str, found: Record) -> Offer:
    """The noun of a price record."""
    data = found.data
    rates = tuple(Rate(**{**rate, "source": Source(*rate["source"])}) for rate in data["rates"])
    return Offer(
        id=name, provider=data.get("provider", ""), instance=data.get("instance", ""), rates=rates,
        accelerator=data.get("accelerator", name), accelerators=data.get("accelerators", 1),
        includes_host=data.get("includes_host", False),
    )  # fmt: skip
