"""Costs beside the devices: storage, egress, monitoring, load balancing, staff. Each is optional."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption, cost_number
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName
from llmsizer.core.explain import QUESTION, STRUCTURE, Provenance, Source
from llmsizer.schema.price import Extras

# Each item that can be asked for, the facts it needs, and (first) the one a given value replaces.
EXTRAS: dict[str, tuple[str, ...]] = {
    "storage": ("storage_price",),
    "egress": ("egress_price", "egress_bytes_per_token"),
    "monitoring": ("monitoring",),
    "load_balancing": ("load_balancing",),
    "staff": ("staff_people", "staff_salary"),
}


def extras_of(catalog: Catalog, asked: Iterable[str] | Mapping[str, Any] | str | None, weights_bytes: Any = None) -> Extras:
    """The optional items asked for.

    ``asked``: names (``["storage", "egress"]``, ``"storage,egress"``, ``"all"``), or a mapping of a name
    to its value (``{"monitoring": "20 USD/month", "staff": 0.25}``) or of a single fact
    (``egress_bytes_per_token``) to its value; True takes the default of the catalog.
    ``weights_bytes``: what is stored.

    Raises UnknownName for a name that is no item, InvalidQuestion for a value that does not fit.
    """
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for name, value in _asked(asked).items():
        facts = EXTRAS.get(name) or ((name,) if any(name in each for each in EXTRAS.values()) else None)
        if facts is None:
            raise UnknownName("cost item", name, [*EXTRAS, "all"])
        for position, fact in enumerate(facts):
            if value is not True and position == 0:
                values[fact], sources[fact] = _given(name, fact, value), QUESTION
            elif fact not in values:
                default = assumption(catalog, fact)
                values[fact], sources[fact] = default.number, default.source
    if "storage_price" in values:
        if weights_bytes is None:
            raise InvalidQuestion("the cost of storage needs the size of the weights")
        values["storage_bytes"], sources["storage_bytes"] = weights_bytes, STRUCTURE
    return Extras(**values, provenance=Provenance(QUESTION, sources))


def left_out(extras: Extras) -> tuple[str, ...]:
    """The optional items that are not counted."""
    return tuple(name for name, facts in EXTRAS.items() if getattr(extras, facts[0]) is None)


def _asked(asked: Iterable[str] | Mapping[str, Any] | str | None) -> dict[str, Any]:
    if asked is None:
        return {}
    if isinstance(asked, Mapping):
        return {name: value for name, value in asked.items() if value is not False}
    names = [part.strip() for part in asked.split(",")] if isinstance(asked, str) else list(asked)
    return dict.fromkeys(EXTRAS if "all" in names else [name for name in names if name], True)


def _given(name: str, fact: str, value: Any) -> float:
    try:
        return cost_number(fact, value)
    except UnitError as error:
        raise InvalidQuestion(f"{name}: {error.message}", error.hint) from None
