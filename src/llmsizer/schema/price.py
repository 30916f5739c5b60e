"""Prices: what accelerators cost to rent and to own, with the date and source of each figure."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmsizer.core.explain import Provenance, Source
from llmsizer.core.quantities import (
    Bytes,
    BytesPerToken,
    Count,
    Fraction,
    PerSecond,
    Seconds,
    Usd,
    UsdPerByte,
    UsdPerByteSecond,
    UsdPerJoule,
    UsdPerSecond,
    Watts,
)

MARKETS = ("on-demand", "spot", "reserved")

# What each default of the cost model measures; catalog files give it under `cost_assumptions`.
ASSUMPTION_UNITS = {
    "life": "second", "residual": "1", "cost_of_capital": "1/second", "host_share": "1", "load_power_share": "1",
    "idle_power_share": "1", "host_power_share": "1", "power_usage_effectiveness": "1", "electricity": "USD/joule",
    "hosting": "USD/joule", "monitoring": "USD/second", "load_balancing": "USD/second", "staff_people": "1",
    "staff_salary": "USD/second", "storage_price": "USD/byte/second", "egress_price": "USD/byte",
    "egress_bytes_per_token": "byte/token", "interruption_rate": "1/second", "restart_time": "second", "headroom": "1",
    "provisioning_time": "second", "engine_start_time": "second", "storage_bandwidth": "byte/second",
    "cached_token_weight": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One dated price of a rented instance or of a device bought.

    ``price``: USD a second for an instance, USD for a purchase. ``low`` and ``high`` are the ends of
    its range; ``date`` is a day, a month, a year or a span of them. ``term`` and ``upfront`` belong to
    reserved instances. A ``suspect`` rate is shown and never chosen.
    """

    price: float
    date: str
    source: Source
    market: str = ""
    region: str = ""
    low: float | None = None
    high: float | None = None
    term: float | None = None
    upfront: float = 0.0
    suspect: bool = False
    note: str = ""

    @property
    def first_day(self) -> str:
        """The earliest day the price can be from, as YYYY-MM-DD."""
        parts = self.date.partition("..")[0].split("-")
        return "-".join([*parts, "01", "01"][:3])

    @property
    def hourly(self) -> float:
        """USD a second with what is paid at once spread over the term."""
        return self.price + (self.upfront / self.term if self.term else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An instance as a provider rents it (or, without provider, a device to buy), with all its rates."""

    id: str
    provider: str
    instance: str
    accelerator: str
    accelerators: int
    rates: tuple[Rate, ...]
    includes_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A default of the cost model in base units (and as written), with what makes it plausible."""

    id: str
    number: float
    unit: str
    text: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rental:
    """Rented instances: the price chosen for one of them. Numbers may be arrays over candidates.

    ``accelerators``: devices of an instance; instances are paid whole. ``interruption_rate`` and
    ``restart_time``: how often a spot instance is taken back, and how long until its successor
    answers; zero elsewhere. ``notes`` say how the price was chosen.
    """

    name: str
    price: UsdPerSecond
    accelerators: Count = 1
    accelerator: str = ""
    provider: str = ""
    market: str = "on-demand"
    region: str = ""
    date: str = ""
    interruption_rate: PerSecond = 0.0
    restart_time: Seconds = 0.0
    notes: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnedHardware:
    """Devices bought and run: prices and powers are per device, powers of the host included apart.

    ``host``: what host, network and rack cost for one device. ``life`` and ``residual`` (a share of the
    purchase) are the depreciation; ``cost_of_capital`` the yearly interest. The site's overhead is
    given once: either ``power_usage_effectiveness`` (cooling inside) or ``cooling`` (power for cooling
    per power of the machines). ``hosting`` is the rent of space per power committed.
    """

    purchase: Usd
    host: Usd
    life: Seconds
    residual: Fraction
    cost_of_capital: PerSecond
    load_power: Watts
    idle_power: Watts
    host_power: Watts
    electricity: UsdPerJoule
    power_usage_effectiveness: Fraction | None = None
    cooling: Fraction | None = None
    hosting: UsdPerJoule | None = None
    accelerator: str = ""
    notes: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Power:
    """What the devices of a rented deployment draw: for energy and emissions, not for the price."""

    load_power: Watts
    idle_power: Watts
    host_power: Watts
    power_usage_effectiveness: Fraction
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extras:
    """Costs beside the devices, each optional: None is not counted."""

    storage_bytes: Bytes | None = None
    storage_price: UsdPerByteSecond | None = None
    egress_price: UsdPerByte | None = None
    egress_bytes_per_token: BytesPerToken | None = None
    monitoring: UsdPerSecond | None = None
    load_balancing: UsdPerSecond | None = None
    staff_people: Count | None = None
    staff_salary: UsdPerSecond | None = None
    provenance: Provenance = field(default_factory=Provenance)
