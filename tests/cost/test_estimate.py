"""Cost totals against rate-card arithmetic written out by hand, and the laws every account must keep."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsizer import Catalog
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName
from llmsizer.core.explain import is_explained, lift
from llmsizer.cost import CostCase, CostEstimate, Line, chosen_price, cost_case, cost_estimate
from llmsizer.cost.estimate import FIGURES
from llmsizer.cost.extras import extras_of
from llmsizer.cost.owned import owned_hardware, rented_power
from llmsizer.formulas.cost import annuity_factor, instances_needed
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import Extras, OwnedHardware, Rental

YEAR = 365.25 * 86400
HOUR = 1 / 3600
numbers = st.floats(1e-3, 1e4)


def rental(usd: float = 55.04, accelerators: int = 8, **more: object) -> Rental:
    return Rental(name="box", price=usd * HOUR, accelerators=accelerators, **more)  # type: ignore[arg-type]


def case(**more: object) -> CostCase:
    given = {"price": rental(), "devices": 4, "replicas": 3, "requests_per_second": 2.5, "capacity": 6.0,
             "input_tokens": 1000.0, "output_tokens": 250.0}  # fmt: skip
    return CostCase(**(given | more))  # type: ignore[arg-type]


def figures(cost: CostEstimate) -> dict[str, float]:
    return {key: value for key, value in cost.to_dict().items() if isinstance(value, float)}


def test_rent_by_hand(catalog: Catalog, h100: Accelerator) -> None:
    # 3 replicas of 4 GPUs: two fit on an instance of 8, so two instances at 55.04 USD/h.
    cost = cost_estimate(case(price=chosen_price("aws-p5.48xlarge", catalog, h100))).to_dict()
    assert cost["usd_per_hour"] == pytest.approx(2 * 55.04, rel=1e-12)
    assert cost["idle_accelerators"] == 2 * 8 - 12
    assert cost["usd_per_request"] == pytest.approx(2 * 55.04 / (2.5 * 3600), rel=1e-12)
    assert cost["usd_per_million_output_tokens"] == pytest.approx(110.08 / (2.5 * 3600) / 1250 * 1e6, rel=1e-12)
    assert [item["name"] for item in cost["items"]] == ["aws-p5.48xlarge on-demand us-east-1"]
    assert "2026-07-20" in cost["items"][0]["source"]
    assert not cost["items"][0]["assumption"]


def test_spot_by_hand(catalog: Catalog, h100: Accelerator) -> None:
    cost = cost_estimate(case(price=chosen_price("aws-p5.48xlarge:spot@us-west-2", catalog, h100))).to_dict()
    rent, interruptions = (item["usd_per_hour"] for item in cost["items"])
    assert rent == pytest.approx(2 * 12.9756)
    assert interruptions == pytest.approx(rent * 0.175 / (365.25 / 12 * 24) * 0.25)  # 17.5 % a month, 15 minutes each
    assert cost["items"][1]["assumption"]


def test_owned_by_hand(catalog: Catalog, h100: Accelerator) -> None:
    words = {
        "purchase": "30000 USD", "host": "10000 USD", "life": "4 years", "residual": "10 %", "cost_of_capital": "8 %/year",
        "load_power": "600 W", "idle_power": "100 W", "host_power": "300 W", "pue": "1.3", "electricity": "0.10 USD/kWh",
        "hosting": "150 USD/kW/month",
    }  # fmt: skip
    cost = cost_estimate(case(price=owned_hardware(catalog, h100, words), devices=4, replicas=2, capacity=5.0)).to_dict()
    amounts = {item["name"]: item["usd_per_hour"] for item in cost["items"]}
    growth = 1.08**4
    factor = 0.08 * growth / (growth - 1)
    hours = 365.25 * 24
    assert amounts["capital: devices"] == pytest.approx(8 * (30000 - 3000 / growth) * factor / hours)
    assert amounts["capital: host"] == pytest.approx(8 * (10000 - 1000 / growth) * factor / hours)
    busy = 2.5 / 5.0
    kilowatts = 8 * ((100 + 500 * busy) + 300) / 1000 * 1.3
    assert amounts["electricity"] == pytest.approx(kilowatts * 0.10)
    assert amounts["hosting"] == pytest.approx(8 * 0.9 * 150 / (hours / 12))
    assert cost["kwh_per_thousand_requests"] == pytest.approx(kilowatts / (2.5 * 3600) * 1000)
    assert not any(item["assumption"] for item in cost["items"])


def test_optional_items_by_hand(catalog: Catalog) -> None:
    extras = extras_of(catalog, "all", weights_bytes=140e9)
    amounts = {i.name: i.to_dict() for i in cost_estimate(case(extras=extras)).items}
    month, year = 365.25 * 24 / 12, 365.25 * 24
    assert amounts["storage of the weights"]["usd_per_hour"] == pytest.approx(140 * 0.023 / month)
    assert amounts["egress"]["usd_per_hour"] == pytest.approx(2.5 * 3600 * 250 * 200 / 1e9 * 0.09)
    assert amounts["monitoring"]["usd_per_hour"] == pytest.approx(2 * 15 / month)
    assert amounts["load balancing"]["usd_per_hour"] == pytest.approx(0.0225)
    assert amounts["staff"]["usd_per_hour"] == pytest.approx(0.5 * 200_000 / year)
    assert all(item["assumption"] and "assumption" in item["source"] for name, item in amounts.items() if name != "box")


def test_a_given_value_replaces_the_default_and_is_no_assumption(catalog: Catalog) -> None:
    extras = extras_of(catalog, {"monitoring": "73.05 USD/month", "staff": False})
    cost = cost_estimate(case(extras=extras)).to_dict()
    assert cost["items"][-1]["usd_per_hour"] == pytest.approx(2 * 0.1)
    assert not cost["items"][-1]["assumption"]
    assert "staff" in cost["left_out"]
    assert "monitoring" not in cost["left_out"]
    with pytest.raises(UnknownName):
        extras_of(catalog, "monitring")
    with pytest.raises(InvalidQuestion, match="size of the weights"):
        extras_of(catalog, "storage")
    with pytest.raises(InvalidQuestion, match="monitoring"):
        extras_of(catalog, {"monitoring": "3 GB"})


def test_pue_and_cooling_are_never_both(catalog: Catalog, h100: Accelerator) -> None:
    with pytest.raises(InvalidQuestion, match="already inside"):
        owned_hardware(catalog, h100, {"pue": 1.3, "cooling": 0.2})
    apart = owned_hardware(catalog, h100, {"cooling": 0.3})
    inside = owned_hardware(catalog, h100, {"pue": 1.3})
    assert apart.power_usage_effectiveness is None

    def electricity(owned: OwnedHardware) -> float:
        return float(
            next(i for i in cost_estimate(case(price=owned)).items if i.name == "electricity").to_dict()["usd_per_hour"]
        )

    assert electricity(apart) == pytest.approx(electricity(inside))
    with pytest.raises(InvalidQuestion, match="at least 1"):
        owned_hardware(catalog, h100, {"pue": 0.9})


def test_what_is_wrong_about_owned_hardware_is_said(catalog: Catalog, h100: Accelerator) -> None:
    for words, message in (
        ({"purchse": "1 USD"}, "not known"), ({"purchase": "1"}, "purchase"), ({"life": "4"}, "life"),
        ({"residual": "1.5"}, "residual"), ({"idle_power": "900 W"}, "more than"),
        ({"pue": 1.1, "power_usage_effectiveness": 1.2}, "twice"),
    ):  # fmt: skip
        with pytest.raises(InvalidQuestion, match=message):
            owned_hardware(catalog, h100, words)
    with pytest.raises(InvalidQuestion, match="no purchase price"):
        owned_hardware(catalog, catalog.accelerator("mi300x"), {})


def test_defaults_of_owned_hardware_are_printed_as_assumptions(catalog: Catalog, h100: Accelerator) -> None:
    cost = cost_estimate(case(price=chosen_price("owned", catalog, h100))).to_dict()
    assert all(item["assumption"] for item in cost["items"])
    assert "assumption" in cost["items"][0]["source"]


def test_zero_interest_is_straight_line() -> None:
    assert annuity_factor(0.0, 5 * YEAR) * YEAR == pytest.approx(1 / 5, rel=1e-9)


def test_unknown_usage_is_a_rate_never_zero(catalog: Catalog, h100: Accelerator) -> None:
    extras = extras_of(catalog, "egress")
    unknown = case(price=chosen_price("owned", catalog, h100), requests_per_second=None, capacity=None, extras=extras)
    cost = cost_estimate(unknown).to_dict()
    rates = {item["name"]: item for item in cost["items"] if item["usd_per_hour"] is None}
    assert set(rates) == {"electricity", "egress"}
    assert all(item["unit_price"] > 0 and item["depends_on"] == "requests_per_second" for item in rates.values())
    assert cost["usd_per_request"] is None
    assert cost["depends_on"] == ["requests_per_second"]
    assert any("depend on requests_per_second" in note for note in cost["notes"])


def test_without_demand_costs_hold_at_full_load() -> None:
    full, half = cost_estimate(case(requests_per_second=None)), cost_estimate(case(requests_per_second=3.0))
    assert (full.basis, half.basis) == ("full load", "demand")
    assert half.to_dict()["usd_per_request"] == pytest.approx(2 * full.to_dict()["usd_per_request"])


def test_no_price_is_not_known() -> None:
    cost = cost_estimate(case(price=None)).to_dict()
    assert cost["usd_per_hour"] is None
    assert cost["items"] == []
    assert any("no price is known" in note for note in cost["notes"])


def test_energy_of_rented_devices(catalog: Catalog, h100: Accelerator) -> None:
    cost = cost_estimate(case(power=rented_power(catalog, h100), emissions=400 / 3.6e6)).to_dict()
    watts = 12 * (700 * 0.12 + 700 * (0.80 - 0.12) * 2.5 / 6 + 700 * 0.4) * 1.56
    assert cost["kwh_per_thousand_requests"] == pytest.approx(watts / 2.5 / 3600)
    assert cost["gco2e_per_thousand_requests"] == pytest.approx(400 * cost["kwh_per_thousand_requests"])


def test_allocation_by_device_time() -> None:
    cost = cost_estimate(case(prefill_seconds=1.0, decode_seconds=3.0))
    assert cost.allocation == "device-time"
    made = cost.to_dict()
    request = made["usd_per_request"]
    assert made["usd_per_million_input_tokens"] == pytest.approx(request * 0.25 / 1000 * 1e6)
    assert made["usd_per_million_output_tokens"] == pytest.approx(request * 0.75 / 250 * 1e6)
    assert cost_estimate(case(prefill_seconds=1.0, decode_seconds=3.0, allocation="tokens")).allocation == "tokens"


@pytest.mark.parametrize(
    "wrong",
    [{"allocation": "time"}, {"allocation": "device-time"}, {"devices": 0}, {"cached": 1.5}, {"requests_per_second": -1.0},
     {"capacity": float("nan")}, {"input_tokens": np.array([1.0, 0.0])}, {"busy": 2.0},
     {"cached": 1.0, "cached_token_weight": 0.0}],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidQuestion):
        cost_estimate(case(**wrong))


def test_instances_are_whole() -> None:
    assert [instances_needed(d, r, a) for d, r, a in ((1, 1, 8), (8, 2, 8), (3, 3, 8), (16, 2, 8), (12, 1, 8))] == [
        1,
        2,
        2,
        4,
        2,
    ]


@settings(deadline=None, max_examples=60)
@given(
    usd=numbers, devices=st.integers(1, 64), replicas=st.integers(1, 200), accelerators=st.integers(1, 72),
    rate=numbers, capacity=numbers, input_tokens=st.floats(1, 1e5), output_tokens=st.floats(1, 1e5),
    cached=st.floats(0, 1), weight=st.floats(0.01, 1), times=st.none() | st.tuples(numbers, numbers),
    storage=st.none() | st.floats(1, 1e13),
)  # fmt: skip
def test_the_account_balances(
    usd: float, devices: int, replicas: int, accelerators: int, rate: float, capacity: float, input_tokens: float,
    output_tokens: float, cached: float, weight: float, times: tuple[float, float] | None, storage: float | None,
) -> None:  # fmt: skip
    prefill, decode = times or (None, None)
    extras = Extras(storage_bytes=storage, storage_price=1e-17 if storage is not None else None, egress_price=1e-10,
                    egress_bytes_per_token=200.0, staff_people=0.5, staff_salary=0.01)  # fmt: skip
    cost = cost_estimate(
        CostCase(
            price=rental(usd, accelerators, market="spot", interruption_rate=1e-7, restart_time=600.0), devices=devices,
            replicas=replicas, requests_per_second=rate, capacity=capacity, input_tokens=input_tokens,
            output_tokens=output_tokens, cached=cached, cached_token_weight=weight, prefill_seconds=prefill,
            decode_seconds=decode, extras=extras,
        )
    ).to_dict()  # fmt: skip
    assert cost["usd_per_hour"] == sum(item["usd_per_hour"] for item in cost["items"])
    for item in cost["items"]:
        assert item["usd_per_hour"] >= 0
    tokens = (
        input_tokens * (1 - cached) * cost["usd_per_million_input_tokens"]
        + input_tokens * cached * cost["usd_per_million_cached_input_tokens"]
        + output_tokens * cost["usd_per_million_output_tokens"]
    ) / 1e6
    assert tokens == pytest.approx(cost["usd_per_request"], rel=1e-9)
    assert cost["usd_per_request"] * min(rate, capacity) * 3600 == pytest.approx(cost["usd_per_hour"], rel=1e-9)
    assert cost["idle_accelerators"] >= 0
    assert cost["instances"] * accelerators >= devices * replicas


@settings(deadline=None, max_examples=60)
@given(interest=st.floats(0, 0.5), years=st.floats(0.5, 20), residual=st.floats(0, 1))
def test_an_annuity_repays_the_purchase(interest: float, years: float, residual: float) -> None:
    from llmsizer.formulas.cost import capital_cost, present_value

    factor = float(annuity_factor(interest / YEAR, years * YEAR)) * YEAR
    assert factor * years >= 1 - 1e-9  # interest never makes it cheaper
    paid = capital_cost(1, 1000.0, present_value(1000.0 * residual, interest / YEAR, years * YEAR), factor)
    assert 1000.0 * (1 - residual) / years - 1e-6 <= paid
    # The present value of the payments and of the residual is the purchase.
    discount = (1 + interest) ** -years
    assert paid / factor + 1000.0 * residual * discount == pytest.approx(1000.0, rel=1e-9)


def test_arrays_are_the_scalars(catalog: Catalog, h100: Accelerator) -> None:
    prices, held = np.array([55.04, 6.88, 2.0]) * HOUR, np.array([8.0, 1.0, 4.0])
    devices, replicas, rates = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 7.0]), np.array([1.0, 2.0, 30.0])
    power = rented_power(catalog, h100)
    many = cost_estimate(
        case(price=Rental(name="many", price=prices, accelerators=held), devices=devices, replicas=replicas,
             requests_per_second=rates, capacity=np.array([2.0, 2.0, 20.0]), power=power)
    ).to_dict()  # fmt: skip
    for index, capacity in enumerate((2.0, 2.0, 20.0)):
        one = cost_estimate(
            case(price=Rental(name="one", price=float(prices[index]), accelerators=float(held[index])), power=power,
                 devices=float(devices[index]), replicas=float(replicas[index]), requests_per_second=float(rates[index]),
                 capacity=capacity)
        )  # fmt: skip
        for key, value in figures(one).items():
            assert many[key][index] == pytest.approx(value, rel=1e-12), key


def test_twenty_thousand_candidates_are_quick() -> None:
    from time import perf_counter

    count = 20_000
    many = Rental(name="many", price=np.linspace(1e-3, 1e-1, count), accelerators=np.full(count, 8.0))
    start = perf_counter()
    cost = cost_estimate(case(price=many, devices=np.full(count, 4.0), replicas=np.full(count, 3.0)))
    assert perf_counter() - start < 0.5
    assert np.shape(cost.usd_per_request) == (count,)


def test_every_figure_explains_itself(catalog: Catalog, h100: Accelerator) -> None:
    asked = case(
        price=chosen_price("owned:hosting=default", catalog, h100), extras=extras_of(catalog, "all", 16e9), emissions=1e-4,
        requests_per_user_month=100.0, cached=0.5, cached_token_weight=0.1,
    )  # fmt: skip
    cost = cost_estimate(asked)
    explained = cost_estimate(lift(asked))
    for key, number in figures(cost).items():
        found = cost.value(key)
        assert is_explained(found), key
        assert float(found.number) / FIGURES[key][1] == pytest.approx(number, rel=1e-12), key
    assert float(explained.usd_per_second.number) == cost.usd_per_second  # type: ignore[union-attr]
    text = cost.explain("items.electricity")
    assert "power_usage_effectiveness = 1.56" in text
    assert "assumed: " in text
    with pytest.raises(UnknownName):
        cost.explain("usd_per_yer")


def test_the_dictionary_is_json_with_the_contract_keys() -> None:
    cost = cost_estimate(case()).to_dict()
    json.dumps(cost, allow_nan=False)
    assert {"usd_per_hour", "usd_per_request", "usd_per_million_input_tokens", "usd_per_million_output_tokens", "items"} <= set(
        cost
    )


def test_the_words_of_a_question_make_a_case(catalog: Catalog, h100: Accelerator) -> None:
    asked = cost_case(
        catalog, h100, price="aws", devices=2, replicas=3, requests_per_second=1.0, input_tokens=1000.0, output_tokens=100.0,
        extras="staff", emissions="400 g/kWh", capacity=2.0, cached=0.5,
    )  # fmt: skip
    cost = cost_estimate(asked).to_dict()
    assert cost["usd_per_hour"] == pytest.approx(
        55.04 + 0.5 * 200_000 / (365.25 * 24)
    )  # six devices of one instance with eight
    assert cost["usd_per_million_cached_input_tokens"] == pytest.approx(0.1 * cost["usd_per_million_input_tokens"])
    assert cost["gco2e_per_thousand_requests"] > 0
    with pytest.raises(UnitError):
        cost_case(catalog, h100, emissions=400)


def test_a_fleet_at_several_prices() -> None:
    lines = (Line(rental=rental(10), instances=2.0), Line(rental=rental(30), instances=0.5))
    cost = cost_estimate(replace(case(), lines=lines)).to_dict()
    assert cost["usd_per_hour"] == pytest.approx(2 * 10 + 0.5 * 30)
    assert cost["instances"] == 2.5
