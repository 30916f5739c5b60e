"""What each device costs under a plan's choices: the offers of all devices side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import find_provider, providers
from llmsizer.catalog.prices import offers as known_offers
from llmsizer.core.errors import UnknownName, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.cost.case import CostCase
from llmsizer.cost.estimate import cost_estimate
from llmsizer.cost.rates import checked_day, chosen_price, rentals
from llmsizer.formulas.cost import instances_needed, interruption_overhead, rent, replicas_held, surcharge
from llmsizer.planner.question import Choices
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import Extras, OwnedHardware, Rental

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class DevicePrices:
    """The offers of some devices: ``usd_per_second`` and ``accelerators`` of an instance by device and
    offer, infinite and one where a device has fewer offers, with what is paid for each instance besides (spot
    interruptions, monitoring); ``unpriced`` says why a device has none."""

    offers: tuple[tuple[Rental | OwnedHardware, ...], ...]
    usd_per_second: Array
    accelerators: Array
    unpriced: dict[str, str]

    def cheapest(self, rows: Array, devices: int, replicas: Array) -> tuple[Array, Array]:
        """USD a second of so many replicas of ``devices`` devices on each row's cheapest offer, and which
        it is. Instances that hold a whole replica go before smaller ones."""
        import numpy as np

        accelerators, price = self.accelerators[rows], self.usd_per_second[rows]
        cost = np.asarray(rent(instances_needed(devices, replicas[:, None], accelerators), price))
        cost = np.where(self._whole(accelerators, price, devices), cost, np.inf)
        best = cost.argmin(axis=1)
        return cost[np.arange(len(rows)), best], best

    def within(self, rows: Array, devices: int, usd_per_second: float) -> Array:
        """The most replicas of ``devices`` devices that each row's offers give for so much."""
        import numpy as np

        accelerators, price = self.accelerators[rows], self.usd_per_second[rows]
        held = replicas_held(devices, np.floor(usd_per_second / price + 1e-9), accelerators)
        most: Array = np.where(self._whole(accelerators, price, devices), np.asarray(held), 0.0).max(axis=1)
        return most

    @staticmethod
    def _whole(accelerators: Array, price: Array, devices: int) -> Array:
        """The offers that may be taken: those that hold a whole replica, where there are such."""
        import numpy as np

        known = np.isfinite(price)
        largest = np.where(known, accelerators, 0).max(axis=1, keepdims=True)
        taken: Array = known & (accelerators >= np.minimum(devices, largest))
        return taken


def device_prices(
    choices: Choices, devices: Sequence[Accelerator], catalog: Catalog, extras: Extras | None = None
) -> DevicePrices:
    """The offers that a plan may take; ``extras``: what is paid besides. Raises UnknownName for a provider or region
    nobody knows."""
    import numpy as np

    names = [_provider(name, catalog) for name in choices.providers]
    for region in choices.regions:
        check_region(region, catalog)
    offers, unpriced = [], {}
    for device in devices:
        try:
            found = _offers(choices, names, device, catalog)
        except UnsupportedCombination as refusal:
            found = []
            unpriced[device.id] = refusal.message
        if not found:
            unpriced.setdefault(device.id, "no price is known for it under these choices")
        offers.append(tuple(found))
    width = max([1, *(len(each) for each in offers)])
    price, held = np.full((len(devices), width), np.inf), np.ones((len(devices), width))
    for row, each in enumerate(offers):
        for column, offer in enumerate(each):
            price[row, column], held[row, column] = _per_second(offer)
            price[row, column] += float(extras.monitoring or 0.0) if extras is not None else 0.0
    return DevicePrices(tuple(offers), price, held, unpriced)


def _provider(name: str, catalog: Catalog) -> str:
    found = find_provider(catalog, name)
    if found is None:
        raise UnknownName("provider", name, providers(catalog))
    return found


def check_region(name: str, catalog: Catalog) -> None:
    """Refuses a region in which nobody rents."""
    known = dict.fromkeys(rate.region for offer in known_offers(catalog).values() for rate in offer.rates if rate.region)
    if name.lower() not in {each.lower() for each in known}:
        raise UnknownName("region", name, known)


def _offers(choices: Choices, names: Sequence[str], device: Accelerator, catalog: Catalog) -> list[Rental | OwnedHardware]:
    if choices.price is not None:
        found = chosen_price(choices.price, catalog, device, price_date=choices.price_date)
        return [] if found is None else [found]
    as_of = checked_day(choices.price_date) if choices.price_date else None
    rented: list[Rental | OwnedHardware] = []
    for market in choices.markets:
        for region in choices.regions or (None,):
            for provider in names or (None,):
                rented += rentals(catalog, device.id, provider=provider, market=market, region=region, as_of=as_of)
    return rented


def _per_second(offer: Rental | OwnedHardware) -> tuple[float, float]:
    """USD a second of one instance and its devices; of owned hardware one device at full load."""
    if isinstance(offer, Rental):
        lost = surcharge(interruption_overhead(offer.interruption_rate, offer.restart_time), offer.price)
        return float(offer.price) + float(lost), float(offer.accelerators)
    cost = cost_estimate(CostCase(price=offer, busy=1.0))
    return float(plain(cost.usd_per_second)), 1.0
