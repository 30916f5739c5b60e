"""Replicas that follow a demand, the cheapest mix of prices, and break-even."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsizer import Catalog
from llmsizer.core.errors import InvalidQuestion
from llmsizer.cost import CostCase, chosen_price, cost_estimate
from llmsizer.cost.break_even import own_or_api, own_or_rent
from llmsizer.cost.demand import Demand, Scaling, case_over_demand, cheapest_mix, demand_of, scale_up_lag, schedule
from llmsizer.cost.owned import owned_hardware
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import Rental

DAY = [1.0] * 8 + [10.0] * 10 + [4.0] * 6
profiles = st.lists(st.floats(0, 100), min_size=24, max_size=24).filter(lambda rates: max(rates) > 0)


def rent(usd: float, **more: object) -> Rental:
    return Rental(name=f"{usd}", price=usd / 3600, accelerators=1, **more)  # type: ignore[arg-type]


def test_a_day_by_hand() -> None:
    found = schedule(demand_of(DAY), Scaling(capacity=2.0))
    assert found.running == (1,) * 8 + (5,) * 10 + (2,) * 6
    assert found.mean_paid == pytest.approx((8 * 1 + 10 * 5 + 6 * 2) / 24)
    assert found.peak == 5
    assert found.late_share == 0


def test_headroom_spare_and_floor() -> None:
    demand = demand_of(4.0)
    assert schedule(demand, Scaling(capacity=2.0)).running == (2,)
    assert schedule(demand, Scaling(capacity=2.0, headroom=0.2)).running == (3,)
    assert schedule(demand, Scaling(capacity=2.0, headroom=0.2, spare=1)).running == (4,)
    assert schedule(demand, Scaling(capacity=100.0, least=2)).running == (2,)
    assert schedule(demand_of([0.0] * 23 + [1.0]), Scaling(capacity=1.0, least=0)).running == (0,) * 23 + (1,)


def test_replicas_are_paid_from_their_order() -> None:
    # One rise of 4 replicas a day, ordered half an hour before: 4 × 0.5 h more of 24 h.
    at_once = schedule(demand_of(DAY), Scaling(capacity=2.0))
    half = schedule(demand_of(DAY), Scaling(capacity=2.0, lag=1800.0))
    two_and_a_half = schedule(demand_of(DAY), Scaling(capacity=2.0, lag=2.5 * 3600))
    assert half.mean_paid - at_once.mean_paid == pytest.approx(4 * 0.5 / 24)
    assert two_and_a_half.mean_paid - at_once.mean_paid == pytest.approx(4 * 2.5 / 24)
    # Ordered late, 10 - 1 × 2 requests/s find no capacity for half an hour.
    assert half.late_share == pytest.approx((10 - 2) * 1800 / (sum(DAY) * 3600))


def test_fixed_fleets_stand_at_their_peak() -> None:
    assert schedule(demand_of(DAY), Scaling(capacity=2.0, fixed=True)).mean_paid == 5


@settings(deadline=None, max_examples=60)
@given(rates=profiles, capacity=st.floats(0.1, 50), lag=st.floats(0, 20 * 3600), spare=st.integers(0, 2), repeats=st.booleans())
def test_schedules_keep_their_laws(rates: list[float], capacity: float, lag: float, spare: int, repeats: bool) -> None:
    demand = Demand(tuple(rates), repeats=repeats)
    found = schedule(demand, Scaling(capacity=capacity, spare=spare, lag=lag))
    assert sum(found.shares) == pytest.approx(1)
    assert found.mean_paid == pytest.approx(float(np.dot(found.levels, found.shares)))
    assert found.mean_paid >= np.mean(found.running) - 1e-9
    assert found.peak == max(found.running)
    assert all(replicas * capacity >= rate * (1 - 1e-6) for replicas, rate in zip(found.running, rates, strict=True))
    assert 0 <= found.late_share <= 1
    later = schedule(demand, Scaling(capacity=capacity, spare=spare, lag=lag + 600))
    assert later.mean_paid >= found.mean_paid - 1e-9


levels = st.dictionaries(st.integers(0, 12), st.floats(0.01, 1), min_size=1, max_size=8)


@settings(deadline=None, max_examples=80)
@given(
    weights=levels,
    reserved=st.floats(0.1, 10),
    flexible=st.floats(0.1, 10),
    spot=st.none() | st.floats(0.01, 10),
    share=st.floats(0, 1),
)
def test_the_mix_is_the_cheapest(
    weights: dict[int, float], reserved: float, flexible: float, spot: float | None, share: float
) -> None:
    whole = sum(weights.values())
    running, shares = list(weights), [weight / whole for weight in weights.values()]
    mix = cheapest_mix(
        running, shares, rent(flexible), reserved=rent(reserved), spot=rent(spot) if spot else None, spot_share=share
    )

    def by_hand(base: int, part: float) -> float:
        above = sum(max(n - base, 0) * weight for n, weight in zip(running, shares, strict=True))
        return base * reserved + above * ((1 - part) * flexible + part * (spot or 0))

    parts = (0.0, share) if spot else (0.0,)
    best = min(by_hand(base, part) for base, part in product(range(max(running) + 1), parts))
    assert mix.usd_per_second * 3600 == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert sum(float(line.rental.price * line.instances) for line in mix.lines) * 3600 == pytest.approx(
        best, rel=1e-9, abs=1e-12
    )


@settings(deadline=None, max_examples=60)
@given(weights=levels, reserved=st.floats(0.1, 10), flexible=st.floats(0.1, 10))
def test_the_base_is_the_newsvendors(weights: dict[int, float], reserved: float, flexible: float) -> None:
    whole = sum(weights.values())
    shares = [weight / whole for weight in weights.values()]
    mix = cheapest_mix(list(weights), shares, rent(flexible), reserved=rent(reserved))
    # The k-th instance is reserved when it runs for more than reserved/flexible of the time.
    runs = [sum(w for n, w in zip(weights, shares, strict=True) if n >= k) for k in range(1, max(weights) + 1)]
    threshold = reserved / flexible
    assert sum(run > threshold + 1e-9 for run in runs) <= mix.base <= sum(run >= threshold - 1e-9 for run in runs)


def test_cost_over_a_demand() -> None:
    base = CostCase(price=rent(3.0), devices=1, input_tokens=1000.0, output_tokens=100.0)
    asked = case_over_demand(base, demand_of(DAY), Scaling(capacity=2.0), reserved=rent(1.2))
    cost = cost_estimate(asked).to_dict()
    # The first two replicas run for at least 16/24 and 24/24 of the time, more than 1.2/3: reserved; the rest 10/24 > 0.4 too.
    assert cost["usd_per_hour"] == pytest.approx(5 * 1.2)
    assert cost["usd_per_request"] == pytest.approx(5 * 1.2 / (sum(DAY) / 24 * 3600))
    dearer = cost_estimate(case_over_demand(base, demand_of(DAY), Scaling(capacity=2.0), reserved=rent(1.5))).to_dict()
    assert dearer["usd_per_hour"] == pytest.approx(2 * 1.5 + 3 * 10 / 24 * 3.0)
    assert [item["quantity"] for item in dearer["items"]] == [2.0, pytest.approx(1.25)]


def test_owned_hardware_stands_at_its_peak(catalog: Catalog, h100: Accelerator) -> None:
    base = CostCase(price=chosen_price("owned", catalog, h100), devices=1)
    asked = case_over_demand(base, demand_of(DAY), Scaling(capacity=2.0))
    assert asked.replicas == 5
    assert asked.capacity == 10
    with pytest.raises(InvalidQuestion):
        case_over_demand(CostCase(price=None), demand_of(DAY), Scaling(capacity=2.0))


def test_what_is_no_demand_is_refused() -> None:
    for wrong in ([1.0, 2.0], "day", [], [0.0] * 24, [-1.0] * 24, [True] * 24, None):
        with pytest.raises(InvalidQuestion):
            demand_of(wrong)
    assert demand_of([1.0, 2.0], step=60).step == 60
    assert len(demand_of([1.0] * 168).rates) == 168
    for scaling in ({"capacity": 0.0}, {"capacity": 1.0, "headroom": 1.0}, {"capacity": 1.0, "lag": -1.0}):
        with pytest.raises(InvalidQuestion):
            Scaling(**scaling)


def test_cold_start_reads_the_weights_through_the_narrower_pipe(catalog: Catalog) -> None:
    assert scale_up_lag(catalog, 140e9) == pytest.approx(180 + 140 + 90)
    assert scale_up_lag(catalog, 140e9, network_bandwidth=0.5e9) == pytest.approx(180 + 280 + 90)


OWNED = {"purchase": "30000 USD", "host": "0 USD", "life": "4 years", "residual": 0, "cost_of_capital": "0 %/year", "pue": 1.0,
         "load_power": "1 kW", "idle_power": "0 W", "host_power": "0 W", "electricity": "0.10 USD/kWh"}  # fmt: skip


def test_own_or_rent_by_hand(catalog: Catalog, h100: Accelerator) -> None:
    found = own_or_rent(rent(2.5), owned_hardware(catalog, h100, OWNED), devices=1, replicas=2).to_dict()
    fixed = 30000 / (4 * 365.25 * 24)
    assert found["use_share"] == pytest.approx(fixed / (2.5 - 0.1))
    assert found["payback_days"] == pytest.approx(30000 / (2.5 - 0.1) / 24)
    never = own_or_rent(rent(0.05), owned_hardware(catalog, h100, OWNED))
    assert not never.owning_can_pay
    assert never.to_dict()["use_share"] is None
    assert never.to_dict()["payback_days"] is None


def test_own_or_api_by_hand() -> None:
    cost = cost_estimate(
        CostCase(price=rent(9.0), requests_per_second=5.0, capacity=8.0, input_tokens=1000.0, output_tokens=200.0, cached=0.5)
    )
    found = own_or_api(cost, per_input=1e-6, per_output=4e-6, per_cached_input=1e-7).to_dict()
    price = 500 * 1e-6 + 500 * 1e-7 + 200 * 4e-6
    assert found["api_usd_per_request"] == pytest.approx(price)
    assert found["break_even_requests_per_second"] == pytest.approx(9.0 / 3600 / price)
    assert found["reachable"]
    assert found["fleet_cost_over_api"] == pytest.approx(9.0 / 3600 / 5.0 / price)
    with pytest.raises(InvalidQuestion):
        own_or_api(cost_estimate(CostCase(price=rent(1.0))), 1e-6, 1e-6)
