"""A cost case from the words of a question, the catalog's defaults filled in and marked."""

from __future__ import annotations

from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption
from llmsizer.core.errors import UnitError
from llmsizer.core.explain import QUESTION, Provenance
from llmsizer.core.quantities import quantity_of
from llmsizer.cost.case import CostCase
from llmsizer.cost.extras import extras_of
from llmsizer.cost.owned import rented_power
from llmsizer.cost.rates import chosen_price
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import OwnedHardware


def cost_case(
    catalog: Catalog,
    device: Accelerator,
    *,
    price: Any = None,
    price_date: str | None = None,
    devices: int = 1,
    replicas: int = 1,
    extras: Any = None,
    weights_bytes: float | None = None,
    emissions: str | float | None = None,
    **numbers: Any,
) -> CostCase:
    """The case of a deployment of ``replicas`` replicas of ``devices`` devices.

    ``price`` and ``price_date``: see ``chosen_price``. ``extras``: the optional items, see ``extras_of``.
    ``emissions``: of the grid, as ``400 g/kWh`` (there is no default). ``numbers``: further fields of
    ``CostCase``. The weight of cached tokens is the catalog's where it is not given.
    """
    chosen = chosen_price(price, catalog, device, devices=devices, replicas=replicas, price_date=price_date)
    sources = {}
    if numbers.get("cached_token_weight") is None:
        weight = assumption(catalog, "cached_token_weight")
        numbers["cached_token_weight"], sources["cached_token_weight"] = weight.number, weight.source
    return CostCase(
        price=chosen, devices=devices, replicas=replicas, extras=extras_of(catalog, extras, weights_bytes),
        power=None if isinstance(chosen, OwnedHardware) else rented_power(catalog, device),
        emissions=_intensity(emissions), provenance=Provenance(QUESTION, sources), **numbers,
    )  # fmt: skip


def _intensity(given: str | float | None) -> float | None:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        raise UnitError(f"emissions: expected a quantity in [gram/joule], got {given:g}", "Write for example: 400 g/kWh")
    return None if given is None else quantity_of("emissions", given, "gram/joule", "400 g/kWh")
