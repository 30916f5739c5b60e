"""The cost of a deployment: line items, their sum, and what falls on a request, a token and a user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.core.errors import UnknownName
from llmsizer.core.explain import Value, lift, plain, total
from llmsizer.core.inputs import Input, facts_of
from llmsizer.core.quantities import (
    Count,
    Fraction,
    Grams,
    Joules,
    PerSecond,
    Usd,
    UsdPerSecond,
    UsdPerToken,
)
from llmsizer.core.render import explanation
from llmsizer.core.results import Result
from llmsizer.cost.case import CostCase
from llmsizer.cost.checks import check_case
from llmsizer.cost.extras import left_out
from llmsizer.cost.items import PER_HOUR, CostItem, cost_items, fleet_instances, fleet_lines, scaled, site_power
from llmsizer.cost.shares import TokenCosts, allocation_of, token_costs
from llmsizer.formulas.cost import (
    cost_per_request,
    cost_per_user_month,
    devices_running,
    idle_accelerators,
    served_rate,
    utilization,
)
from llmsizer.formulas.energy import emissions, energy_per_request
from llmsizer.schema.price import OwnedHardware, Rental

# The keys of `to_dict` with the field each comes from, and what divides its base unit.
FIGURES: dict[str, tuple[str, float]] = {
    "usd_per_hour": ("usd_per_second", PER_HOUR),
    "usd_per_request": ("usd_per_request", 1.0),
    "usd_per_million_input_tokens": ("usd_per_input_token", 1e-6),
    "usd_per_million_cached_input_tokens": ("usd_per_cached_input_token", 1e-6),
    "usd_per_million_output_tokens": ("usd_per_output_token", 1e-6),
    "usd_per_user_month": ("usd_per_user_month", 1.0),
    "kwh_per_thousand_requests": ("joules_per_request", 3.6e3),
    "gco2e_per_thousand_requests": ("grams_per_request", 1e-3),
    "utilization": ("utilization", 1.0),
    "instances": ("instances", 1.0),
    "idle_accelerators": ("idle_accelerators", 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostEstimate(Result):
    """What a deployment costs, in base units (USD a second, USD a token). None: not known.

    ``items`` sum to ``usd_per_second``. ``basis`` says at which load costs per request hold: the
    ``demand`` given, ``full load`` (the demand is not known, the capacity is), or empty. ``case``: what was priced.
    ``usd_per_input_token``, ``usd_per_cached_input_token``, ``usd_per_output_token``: the shares of tokens;
    ``joules_per_request`` and ``grams_per_request`` (of CO2 equivalent): energy and emissions.
    ``depends_on`` lists what must be known for the lines that are rates; ``left_out`` the optional
    items that are not counted.
    """

    case: CostCase
    items: tuple[CostItem, ...]
    usd_per_second: UsdPerSecond | None
    usd_per_request: Usd | None
    usd_per_input_token: UsdPerToken | None
    usd_per_cached_input_token: UsdPerToken | None
    usd_per_output_token: UsdPerToken | None
    usd_per_user_month: Usd | None
    joules_per_request: Joules | None
    grams_per_request: Grams | None
    utilization: Fraction | None
    instances: Count
    idle_accelerators: Count | None
    allocation: str
    basis: str
    depends_on: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The cost as plain data; ``usd_per_hour`` is exactly the sum of the items' ``usd_per_hour``."""
        items = [item.to_dict() for item in self.items]
        made = {key: _figure(getattr(self, field), factor) for key, (field, factor) in FIGURES.items()}
        if self.usd_per_second is not None:
            made["usd_per_hour"] = sum((item["usd_per_hour"] for item in items if item["usd_per_hour"] is not None), 0.0)
        words = {"basis": self.basis, "allocation": self.allocation, "depends_on": list(self.depends_on)}
        return {**made, **words, "items": items, "left_out": list(self.left_out), "notes": list(self.notes)}

    def inputs(self) -> Iterator[Input]:
        """The prices it rests on."""
        price = self.case.price
        if isinstance(price, Rental):
            yield from facts_of("prices", price.name, price, ("price", "accelerators", "interruption_rate", "restart_time"))
        elif price is not None:
            yield from facts_of("prices", f"{price.accelerator}, owned", price)

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a line item."""
        return [item.to_dict() for item in self.items]

    def __repr__(self) -> str:
        known = self.to_dict()["usd_per_hour"]
        price = "no price is known" if known is None else f"{known:,.2f} USD/h"
        return f"<CostEstimate: {price}, {len(self.items)} items>"

    def value(self, key: str) -> Value:
        """A figure with its derivation, by its key in ``to_dict`` (``items.NAME`` for a line).

        Raises UnknownName for a key that names no figure that is known.
        """
        replay = cost_estimate(lift(self.case))
        found: Mapping[str, Any] = {name: getattr(replay, field) for name, (field, _) in FIGURES.items()}
        found = {**found, **{f"items.{item.name}": item.usd_per_second for item in replay.items}}
        if not isinstance(found.get(key), Value):
            raise UnknownName("cost figure", key, [name for name, value in found.items() if isinstance(value, Value)])
        return found[key]  # type: ignore[no-any-return]

    def explain(self, key: str = "usd_per_hour", depth: int = 6) -> str:
        """How a figure was computed: equations, numbers, and the source of each fact."""
        return explanation(self.value(key), depth)


def _figure(value: Any, factor: float) -> Any:
    return None if value is None else scaled(value, factor)


def cost_estimate(case: CostCase) -> CostEstimate:
    """The cost of a deployment. The numbers of the case may be plain, arrays over candidates, or (a
    lifted case) Values that remember where they come from.

    Raises InvalidQuestion for a rule of allocation that is not known or lacks its device times.
    """
    check_case(case)
    served, basis = _served(case)
    load = _load(case, basis)
    busy = case.busy if case.busy is not None else load
    items = tuple(cost_items(case, busy, served))
    known = [item.usd_per_second for item in items if item.usd_per_second is not None]
    cost = total(known, "cost") if known else None
    per_request = cost_per_request(cost, served) if cost is not None and served is not None else None
    shares = token_costs(case, per_request)
    energy = _energy(case, busy, served)
    priced = bool(fleet_lines(case))
    return CostEstimate(
        case=case, items=items, usd_per_second=cost, usd_per_request=per_request,
        usd_per_input_token=shares.per_input, usd_per_cached_input_token=shares.per_cached_input,
        usd_per_output_token=shares.per_output, usd_per_user_month=_per_user(case, per_request),
        joules_per_request=energy, grams_per_request=_emitted(case, energy), utilization=load,
        instances=fleet_instances(case), idle_accelerators=_idle(case) if priced else None,
        allocation=_allocation_text(case, shares), basis=basis,
        depends_on=tuple(dict.fromkeys(item.depends_on for item in items if item.depends_on)),
        left_out=left_out(case.extras), notes=tuple(_notes(case, basis)),
    )  # fmt: skip


def _served(case: CostCase) -> tuple[PerSecond | None, str]:
    """Requests served a second, and on what that rests."""
    if case.requests_per_second is not None:
        if case.capacity is None:
            return case.requests_per_second, "demand"
        return served_rate(case.requests_per_second, case.capacity), "demand"
    return case.capacity, "full load" if case.capacity is not None else ""


def _load(case: CostCase, basis: str) -> Fraction | None:
    if case.capacity is None:
        return None
    rate = case.requests_per_second if basis == "demand" else case.capacity
    assert rate is not None
    return utilization(rate, case.capacity)


def _idle(case: CostCase) -> Count | None:
    """Devices that are paid and hold no replica; not defined where several prices or a mean number of
    instances make up the fleet."""
    if case.lines or case.instances is not None or not isinstance(case.price, Rental):
        return None
    return idle_accelerators(fleet_instances(case), case.price.accelerators, case.devices, case.replicas)


def _energy(case: CostCase, busy: Fraction | None, served: PerSecond | None) -> Joules | None:
    hardware = case.price if isinstance(case.price, OwnedHardware) else case.power
    if hardware is None or busy is None or served is None:
        return None
    owned = isinstance(case.price, OwnedHardware)
    devices = fleet_instances(case) if owned else devices_running(case.devices, case.replicas)
    return energy_per_request(site_power(hardware, devices, busy), served)


def _emitted(case: CostCase, energy: Joules | None) -> Grams | None:
    return None if energy is None or case.emissions is None else emissions(energy, case.emissions)


def _per_user(case: CostCase, per_request: Usd | None) -> Usd | None:
    asked = case.requests_per_user_month
    return None if per_request is None or asked is None else cost_per_user_month(per_request, asked)


def _allocation_text(case: CostCase, shares: TokenCosts) -> str:
    return allocation_of(case) if shares.per_output is not None else ""


def _notes(case: CostCase, basis: str) -> list[str]:
    notes: list[str] = []
    for noun in dict.fromkeys([*(line.rental for line in fleet_lines(case)), case.price]):
        notes += noun.notes if noun is not None else ()
    if case.price is None and not case.lines:
        notes.append("no price is known for this hardware: give one, for example --price '2.50 USD/h'")
    if basis == "full load":
        notes.append("costs per request and token hold at full load; at a share u of it they are 1/u times as high")
    if not basis:
        notes.append("costs per request depend on requests_per_second")
    demand, capacity = plain(case.requests_per_second), plain(case.capacity)
    if isinstance(demand, (int, float)) and isinstance(capacity, (int, float)) and demand > capacity * (1 + 1e-9):
        notes.append(f"the demand of {demand:,.4g} requests/s exceeds the capacity of {capacity:,.4g}")
    return list(dict.fromkeys(notes))
