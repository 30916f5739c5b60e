"""Line items: what is paid for, how much of it, at what price. Their sum is the cost; nothing is added
elsewhere. An item whose quantity is not known is a rate: it has a price and no amount."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmsizer.core.explain import Source, named, plain, total, worst_tier
from llmsizer.core.quantities import Count, Fraction, Number, UsdPerSecond, Watts, unit_factor
from llmsizer.cost.case import CostCase, Line
from llmsizer.formulas.cost import (
    annuity_factor,
    capital_cost,
    devices_running,
    egress_cost,
    egress_rate,
    energy_cost,
    hosting_cost,
    instances_needed,
    interruption_overhead,
    present_value,
    recurring_cost,
    rent,
    residual_value,
    storage_cost,
    surcharge,
)
from llmsizer.formulas.energy import device_watts, machine_watts, site_watts, site_watts_with_cooling
from llmsizer.schema.price import OwnedHardware, Power, Rental


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostItem:
    """One line: ``quantity`` [``unit``] at ``unit_price`` [``price_unit``] is ``usd_per_second``.

    ``usd_per_second`` None: the quantity depends on ``depends_on``, which is not known. ``assumption``:
    the line rests on a default that nobody stated. Numbers are in base units.
    """

    name: str
    quantity: Number | None
    unit: str
    unit_price: Number
    price_unit: str
    usd_per_second: UsdPerSecond | None
    source: str
    assumption: bool = False
    depends_on: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The line in the units it names; ``usd_per_hour`` None where the quantity is not known."""
        factor = unit_factor(self.unit)[0] if self.unit in UNITS else 1.0
        return {
            "name": self.name,
            "quantity": None if self.quantity is None else scaled(self.quantity, factor),
            "unit": self.unit,
            "unit_price": scaled(self.unit_price, unit_factor(self.price_unit)[0]),
            "price_unit": self.price_unit,
            "usd_per_hour": None if self.usd_per_second is None else scaled(self.usd_per_second, PER_HOUR),
            "source": self.source,
            "assumption": self.assumption,
            "depends_on": self.depends_on,
            "note": self.note,
        }


# Quantities that are shown in a unit of measure; all others are counts.
UNITS = {"kW", "GB", "GB/h"}
PER_HOUR = unit_factor("USD/h")[0]


def scaled(value: Any, factor: float) -> Any:
    """A number in another unit, of ``factor`` base units."""
    made = plain(value) / factor
    return float(made) if isinstance(made, (int, float)) else made


def sources_text(noun: Any, *names: str) -> tuple[str, bool]:
    """The sources of some facts of a noun, and whether one of them is an assumption."""
    found = [noun.provenance.of(name) for name in names]
    texts = dict.fromkeys(_text(source) for source in found)
    return "; ".join(texts), worst_tier([source.tier for source in found]) == "assumed"


def _text(source: Source) -> str:
    return f"assumption: {source}" if source.tier == "assumed" else str(source)


def fleet_lines(case: CostCase) -> tuple[Line, ...]:
    """The rented instances of a case; empty for owned or unpriced hardware."""
    if case.lines:
        return tuple(case.lines)
    return (Line(rental=case.price, instances=fleet_instances(case)),) if isinstance(case.price, Rental) else ()


def fleet_instances(case: CostCase) -> Count:
    """Instances that the replicas take; where the hardware is owned, its devices."""
    if case.lines:
        return total([line.instances for line in case.lines], "instances")
    if case.instances is not None:
        return case.instances
    if not isinstance(case.price, Rental):
        return devices_running(case.devices, case.replicas)
    return named(instances_needed(case.devices, case.replicas, case.price.accelerators), "instances")


def cost_items(case: CostCase, busy: Fraction | None, served: Number | None) -> list[CostItem]:
    """Every line of the account. ``busy``: the share of time that devices work; ``served``: requests a
    second that are answered; None where not known."""
    items: list[CostItem] = []
    for line in fleet_lines(case):
        items += rental_items(line)
    if isinstance(case.price, OwnedHardware):
        items += owned_items(case.price, fleet_instances(case), busy)
    return [*items, *extra_items(case, served)]


def rental_items(line: Line) -> Iterator[CostItem]:
    """Rent, and for spot instances the time that interruptions cost."""
    rental, count = line.rental, line.instances
    source, assumed = sources_text(rental, "price")
    paid = named(rent(count, rental.price), rental.name)
    yield CostItem(
        name=rental.name, quantity=count, unit="instances", unit_price=rental.price, price_unit="USD/h",
        usd_per_second=paid, source=source, assumption=assumed,
    )  # fmt: skip
    if rental.market == "spot":
        share = interruption_overhead(rental.interruption_rate, rental.restart_time)
        extra = surcharge(share, paid)
        source, assumed = sources_text(rental, "interruption_rate", "restart_time")
        yield CostItem(
            name="spot interruptions", quantity=share, unit="of the rent", unit_price=paid, price_unit="USD/h",
            usd_per_second=named(extra, "spot interruptions"), source=source, assumption=assumed,
            note="instance time that is paid and not used while a successor starts",
        )  # fmt: skip


def owned_items(owned: OwnedHardware, devices: Count, busy: Fraction | None) -> Iterator[CostItem]:
    """Capital (devices, host), electricity, and rent of space where it is counted."""
    annuity = annuity_factor(owned.cost_of_capital, owned.life)
    for name, price in (("devices", owned.purchase), ("host", owned.host)):
        later = present_value(residual_value(price, owned.residual), owned.cost_of_capital, owned.life)
        each = named(capital_cost(1.0, price, later, annuity), f"capital of one of the {name}")
        field = "purchase" if name == "devices" else "host"
        source, assumed = sources_text(owned, field, "life", "residual", "cost_of_capital")
        yield CostItem(
            name=f"capital: {name}", quantity=devices, unit="devices", unit_price=each, price_unit="USD/h",
            usd_per_second=named(recurring_cost(devices, each), f"capital: {name}"), source=source, assumption=assumed,
            note="depreciation and interest as an annuity, the residual taken off",
        )  # fmt: skip
    yield _electricity(owned, devices, busy)
    if owned.hosting is not None:
        committed = machine_watts(devices, owned.load_power, owned.host_power)
        source, assumed = sources_text(owned, "hosting", "load_power", "host_power")
        yield CostItem(
            name="hosting", quantity=committed, unit="kW", unit_price=owned.hosting, price_unit="USD/kW/month",
            usd_per_second=named(hosting_cost(committed, owned.hosting), "hosting"), source=source, assumption=assumed,
            note="for the most power the machines draw, electricity apart",
        )  # fmt: skip


def _electricity(owned: OwnedHardware, devices: Count, busy: Fraction | None) -> CostItem:
    overhead = "cooling" if owned.cooling is not None else "power_usage_effectiveness"
    source, assumed = sources_text(owned, "electricity", "load_power", "idle_power", "host_power", overhead)
    watts = None if busy is None else site_power(owned, devices, busy)
    return CostItem(
        name="electricity", quantity=watts, unit="kW", unit_price=owned.electricity, price_unit="USD/kWh",
        usd_per_second=None if watts is None else named(energy_cost(watts, owned.electricity), "electricity"),
        source=source, assumption=assumed, depends_on="" if watts is not None else "requests_per_second",
        note="cooling is inside the PUE" if owned.cooling is None else "cooling counted apart from the machines, no PUE",
    )  # fmt: skip


def site_power(hardware: OwnedHardware | Power, devices: Count, busy: Fraction) -> Watts:
    """Power that the site draws for devices, hosts and cooling: the overhead counted once."""
    each = device_watts(hardware.idle_power, hardware.load_power, busy)
    machines = machine_watts(devices, each, hardware.host_power)
    if isinstance(hardware, OwnedHardware) and hardware.cooling is not None:
        return named(site_watts_with_cooling(machines, hardware.cooling), "power")
    overhead = hardware.power_usage_effectiveness
    assert overhead is not None, "owned_hardware gives one of the two"
    return named(site_watts(machines, overhead), "power")


def extra_items(case: CostCase, served: Number | None) -> Iterator[CostItem]:
    """The optional items that were asked for."""
    extras = case.extras
    if extras.storage_price is not None and extras.storage_bytes is not None:
        amount = storage_cost(extras.storage_bytes, extras.storage_price)
        yield _extra(case, "storage of the weights", extras.storage_bytes, "GB", "storage_price", "USD/GB/month", amount)
    if extras.egress_price is not None and extras.egress_bytes_per_token is not None:
        yield _egress(case, served)
    if extras.monitoring is not None:
        watched = fleet_instances(case)
        amount = recurring_cost(watched, extras.monitoring)
        yield _extra(case, "monitoring", watched, "instances", "monitoring", "USD/month", amount)
    if extras.load_balancing is not None:
        amount = recurring_cost(1.0, extras.load_balancing)
        yield _extra(case, "load balancing", 1.0, "balancers", "load_balancing", "USD/h", amount)
    if extras.staff_people is not None and extras.staff_salary is not None:
        amount = recurring_cost(extras.staff_people, extras.staff_salary)
        yield _extra(case, "staff", extras.staff_people, "people", "staff_salary", "USD/year", amount, "staff_people")


def _extra(
    case: CostCase, name: str, quantity: Any, unit: str, price: str, price_unit: str, amount: Any, *further: str
) -> CostItem:
    source, assumed = sources_text(case.extras, price, *further)
    return CostItem(
        name=name, quantity=quantity, unit=unit, unit_price=getattr(case.extras, price), price_unit=price_unit,
        usd_per_second=named(amount, name), source=source, assumption=assumed,
    )  # fmt: skip


def _egress(case: CostCase, served: Number | None) -> CostItem:
    extras = case.extras
    source, assumed = sources_text(extras, "egress_price", "egress_bytes_per_token")
    assert extras.egress_price is not None
    assert extras.egress_bytes_per_token is not None
    sent = amount = None
    if served is not None and case.output_tokens is not None:
        sent = egress_rate(served, case.output_tokens, extras.egress_bytes_per_token)
        amount = named(egress_cost(sent, extras.egress_price), "egress")
    return CostItem(
        name="egress", quantity=sent, unit="GB/h", unit_price=extras.egress_price, price_unit="USD/GB",
        usd_per_second=amount, source=source, assumption=assumed,
        depends_on="" if sent is not None else "requests_per_second",
        note=f"{float(plain(extras.egress_bytes_per_token)):g} bytes for an output token",
    )  # fmt: skip
