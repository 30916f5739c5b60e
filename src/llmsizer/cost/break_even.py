"""Where two ways to pay cost the same: renting against owning, an own fleet against an API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.explain import plain, total
from llmsizer.core.quantities import Fraction, Number, PerSecond, Seconds, Usd, UsdPerSecond, UsdPerToken
from llmsizer.cost.case import CostCase
from llmsizer.cost.estimate import CostEstimate
from llmsizer.cost.items import owned_items
from llmsizer.formulas.cost import (
    api_price_of_request,
    break_even_rate,
    break_even_use,
    devices_running,
    instances_needed,
    outlay,
    payback_time,
    rent,
)
from llmsizer.schema.price import OwnedHardware, Rental

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnOrRent:
    """Renting by the hour against owning the same devices.

    ``use_share``: share of the time that the devices must be in use for owning to be cheaper (beyond 1:
    never). ``payback_seconds``: when the purchase has cost less than renting all the time (simple:
    without interest and residual); longer than ``life`` means not while the hardware lasts.
    """

    rental_usd_per_second: UsdPerSecond
    fixed_usd_per_second: UsdPerSecond
    running_usd_per_second: UsdPerSecond
    use_share: Fraction
    payback_seconds: Seconds
    life: Seconds

    @property
    def owning_can_pay(self) -> Any:
        """Whether there is a use of at most all the time at which owning is cheaper."""
        return plain(self.use_share) <= 1

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data; None where it never pays."""
        pays = bool(self.owning_can_pay)
        payback = float(plain(self.payback_seconds))
        return {
            "rental_usd_per_hour": float(plain(self.rental_usd_per_second)) * 3600,
            "owned_fixed_usd_per_hour": float(plain(self.fixed_usd_per_second)) * 3600,
            "owned_running_usd_per_hour": float(plain(self.running_usd_per_second)) * 3600,
            "use_share": float(plain(self.use_share)) if pays else None,
            "payback_days": payback / DAY if payback <= float(plain(self.life)) else None,
        }


def own_or_rent(rental: Rental, owned: OwnedHardware, devices: int = 1, replicas: int = 1) -> OwnOrRent:
    """From what use owning is cheaper than renting by the hour, and when the purchase has paid.

    Electricity is counted as running (nothing is drawn while the hardware is off), the rest as fixed.
    """
    count = devices_running(devices, replicas)
    items = list(owned_items(owned, count, 1.0))
    running = total([i.usd_per_second for i in items if i.name == "electricity"], "running cost")
    fixed = total([i.usd_per_second for i in items if i.name != "electricity"], "fixed cost")
    rented = rent(instances_needed(devices, replicas, rental.accelerators), rental.price)
    kept = [i.usd_per_second for i in items if not i.name.startswith("capital")]
    return OwnOrRent(
        rental_usd_per_second=rented, fixed_usd_per_second=fixed, running_usd_per_second=running,
        use_share=break_even_use(fixed, running, rented), life=owned.life,
        payback_seconds=payback_time(outlay(count, owned.purchase, owned.host), total(kept, "upkeep"), rented),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnOrApi:
    """An own fleet against paying an API per token.

    ``rate``: requests per second from which the fleet is cheaper; ``reachable``: whether the fleet
    serves that many (None: its capacity is not known); ``api_usd_per_request`` and ``fleet_share``:
    what the fleet costs per request over what the API takes (None: the demand is not known).
    """

    api_usd_per_request: Usd
    rate: PerSecond
    reachable: Any
    fleet_share: Number | None

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data."""
        return {
            "api_usd_per_request": float(plain(self.api_usd_per_request)),
            "break_even_requests_per_second": float(plain(self.rate)),
            "break_even_requests_per_day": float(plain(self.rate)) * DAY,
            "reachable": None if self.reachable is None else bool(self.reachable),
            "fleet_cost_over_api": None if self.fleet_share is None else float(self.fleet_share),
        }


def own_or_api(
    estimate: CostEstimate, per_input: UsdPerToken, per_output: UsdPerToken, per_cached_input: UsdPerToken | None = None
) -> OwnOrApi:
    """From what rate a fleet is cheaper than an API with these prices (USD a token).

    Raises InvalidQuestion where the lengths of a request or the price of the fleet are not known.
    """
    case: CostCase = estimate.case
    if case.input_tokens is None or case.output_tokens is None or estimate.usd_per_second is None:
        raise InvalidQuestion("break-even against an API needs the tokens of a request and the price of the fleet")
    cached_price = per_input if per_cached_input is None else per_cached_input
    price = api_price_of_request(case.input_tokens, case.cached, case.output_tokens, per_input, cached_price, per_output)
    rate = break_even_rate(estimate.usd_per_second, price)
    share = None if estimate.usd_per_request is None else plain(estimate.usd_per_request) / plain(price)
    reachable = None if case.capacity is None else plain(rate) <= plain(case.capacity)
    return OwnOrApi(api_usd_per_request=price, rate=rate, reachable=reachable, fleet_share=share)
