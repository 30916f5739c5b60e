"""Prices of the catalog: which rate holds, how names are found, what a malformed file says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmsizer import Catalog
from llmsizer.catalog.prices import assumption, node_of, offer, offers, providers, purchase_offer
from llmsizer.core.errors import CatalogError, InvalidQuestion, UnitError, UnknownName, UnsupportedCombination
from llmsizer.cost.rates import chosen_price, rate_of, rentals
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import ASSUMPTION_UNITS, OwnedHardware, Rental

Overlay = Callable[[str], Catalog]


def hourly(price: object) -> float:
    assert isinstance(price, Rental)
    return float(price.price) * 3600


def test_every_price_names_a_device_and_the_machine_of_its_id_has_its_shape(catalog: Catalog) -> None:
    for each in offers(catalog).values():
        assert catalog.accelerator(each.accelerator).id == each.accelerator
        node = node_of(catalog, each)
        assert node is None or (node.accelerator, node.accelerators) == (each.accelerator, each.accelerators)
    for name in catalog.names("purchase_prices"):
        assert catalog.accelerator(name).id == name


def test_no_spot_price_is_above_the_dearest_list_price_of_its_instance(catalog: Catalog) -> None:
    for each in offers(catalog).values():
        listed = [rate.price for rate in each.rates if rate.market == "on-demand"]
        assert all(rate.price <= max(listed) for rate in each.rates if rate.market == "spot" and listed), each.id


def test_every_default_of_the_cost_model_is_an_entry_marked_assumption(catalog: Catalog) -> None:
    for name in ASSUMPTION_UNITS:
        assert assumption(catalog, name).source.tier == "assumed"


@pytest.mark.parametrize(
    ("word", "usd"),
    [
        ("aws-p5.48xlarge", 55.04),  # newest
        ("AWS-P5.48XLARGE", 55.04),
        ("p5.48xlarge", 55.04),
        ("aws-p5.48xlarge:spot@us-west-2", 12.9756),
        ("aws-p5.48xlarge:spot", 11.5616),  # the cheapest of the newest regions
        ("2.50 USD/h", 2.50),
        ("$2.50/h", 2.50),
        ("20 USD/h x 8", 20.0),
    ],
)
def test_price_words(catalog: Catalog, h100: Accelerator, word: str, usd: float) -> None:
    assert hourly(chosen_price(word, catalog, h100)) == pytest.approx(usd, rel=1e-12)


@pytest.mark.parametrize(("day", "usd"), [("2023-09-18", 98.32), ("2025-01-31", 98.32), ("2025-08-04", 55.04), (None, 55.04)])
def test_a_price_date_picks_what_was_valid(catalog: Catalog, h100: Accelerator, day: str | None, usd: float) -> None:
    assert hourly(chosen_price("aws-p5.48xlarge", catalog, h100, price_date=day)) == pytest.approx(usd)


def test_a_provider_means_its_cheapest_instance_for_the_deployment(catalog: Catalog, h100: Accelerator) -> None:
    names = [chosen_price("lambda", catalog, h100, devices=n) for n in (1, 2, 8)]
    assert [each.accelerators for each in names if isinstance(each, Rental)] == [1, 2, 8]


def test_without_a_word_the_median_provider_by_device_is_taken_and_said(catalog: Catalog, h100: Accelerator) -> None:
    usual = chosen_price(None, catalog, h100, devices=4)
    assert isinstance(usual, Rental)
    assert usual.accelerators == 1
    assert "median of" in usual.notes[0]
    each = sorted(
        min(float(r.price / r.accelerators) for r in rentals(catalog, h100.id, provider=name))
        for name in providers(catalog)
        if rentals(catalog, h100.id, provider=name)
    )
    assert usual.price == each[(len(each) - 1) // 2]


def test_no_price_of_a_device_is_no_price(catalog: Catalog) -> None:
    assert chosen_price(None, catalog, catalog.accelerator("apple-m2")) is None


def test_unknown_names_say_the_nearest(catalog: Catalog, h100: Accelerator) -> None:
    with pytest.raises(UnknownName) as found:
        chosen_price("aws-p5.48xlrge", catalog, h100)
    assert "aws-p5.48xlarge" in found.value.near
    with pytest.raises(UnknownName):
        chosen_price("owned-by-me", catalog, h100)


def test_what_cannot_be_is_refused_with_what_could(catalog: Catalog, h100: Accelerator) -> None:
    with pytest.raises(UnsupportedCombination, match="is for l40s, not for h100"):
        chosen_price("aws-g6e.xlarge", catalog, h100)
    with pytest.raises(UnsupportedCombination, match="no price reserved"):
        chosen_price("aws-p5.48xlarge:reserved", catalog, h100)
    with pytest.raises(UnsupportedCombination, match="as of 2020-01-01"):
        chosen_price("aws-p5.48xlarge", catalog, h100, price_date="2020-01-01")
    with pytest.raises(UnsupportedCombination, match="no on-demand price of Hyperstack"):
        chosen_price("hyperstack", catalog, h100)
    with pytest.raises(InvalidQuestion, match="several providers"):
        chosen_price("H100", catalog, h100)
    with pytest.raises(InvalidQuestion, match="price-date"):
        chosen_price("aws", catalog, h100, price_date="yesterday")
    with pytest.raises(UnitError):
        chosen_price("2.50", catalog, h100)
    with pytest.raises(InvalidQuestion):
        chosen_price(2.5, catalog, h100)
    with pytest.raises(InvalidQuestion, match="no market"):
        chosen_price("aws:spt", catalog, h100)


def test_a_suspect_rate_is_never_chosen(catalog: Catalog) -> None:
    with pytest.raises(UnsupportedCombination, match="suspect"):
        rate_of(offer(catalog, "gcp-l4-without-host"), "on-demand")
    assert all(not each.name.startswith("gcp-l4-without-host") for each in rentals(catalog, "l4"))


MINE = """
prices:
  aws-p5.48xlarge:
    rates:
      - {market: on-demand, price: 40 USD/h, region: us-east-1, date: "2026-12-01"}
      - {market: reserved, price: 20 USD/h, upfront: 87660 USD, term: 1 year, date: "2026-12-01"}
  my-box:
    provider: us
    instance: box
    accelerator: h100-sxm5-80gb
    accelerators: 8
    rates: [{market: on-demand, price: 16 USD/h, date: 2026-12}]
cost_assumptions:
  electricity: {value: 0.2 USD/kWh}
purchase_prices:
  h100-sxm5-80gb: {rates: [{price: 20000 USD, date: "2026-12-01"}]}
"""


def test_overlays_add_rates_and_change_defaults(overlay: Overlay, h100: Accelerator, catalog: Catalog) -> None:
    mine = overlay(MINE)
    assert hourly(chosen_price("aws-p5.48xlarge", mine, h100)) == pytest.approx(40)
    assert hourly(chosen_price("aws-p5.48xlarge", mine, h100, price_date="2026-11-30")) == pytest.approx(55.04)
    assert hourly(chosen_price("aws-p5.48xlarge:reserved", mine, h100)) == pytest.approx(20 + 10)  # 87660 USD over 8766 h
    assert hourly(chosen_price("us", mine, h100, devices=8)) == pytest.approx(16)
    assert assumption(mine, "electricity").number == pytest.approx(0.2 / 3.6e6)
    owned = chosen_price("owned", mine, h100)
    assert isinstance(owned, OwnedHardware)
    assert owned.purchase == 20000
    assert purchase_offer(catalog, "h100-sxm5-80gb").rates[0].price == 28000  # type: ignore[union-attr]


RATE = '{market: on-demand, price: 16 USD/h, date: "2026-12-01"}'


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("price: 16 USD/h", "price: 16", "rates[0].price", "expected a quantity"),
        ("price: 16 USD/h", "price: 16 USD", "rates[0].price", r"expected \[USD/second\]"),
        ("price: 16 USD/h", "price: -1 USD/h", "rates[0].price", "negative"),
        ("price: 16 USD/h", "price: 0 USD/h", "rates[0].price", "positive"),
        ("price: 16 USD/h", "price: 16 USD/h, low: 17 USD/h", "rates[0].price", "between low and high"),
        ("price: 16 USD/h, ", "", "rates[0].price", "is missing"),
        ("2026-12-01", "2026-13-01", "rates[0].date", "expected a date"),
        ("2026-12-01", "soon", "rates[0].date", "expected a date"),
        ("2026-12-01", "2026-12..2025", "rates[0].date", "ends before"),
        ("market: on-demand", "market: ondemand", "rates[0].market", "expected one of"),
        ("market: on-demand", "market: reserved", "rates[0].term", "is missing"),
        ("market: on-demand", "market: spot, term: 1 year", "rates[0].term", "reserved prices only"),
        ("market: on-demand", "markt: on-demand", "rates[0].markt", "not a known field"),
        (RATE, RATE[:-1] + ", source: nowhere}", "rates[0].source", "unknown source"),
        (RATE, RATE[:-1] + ", suspect: 3}", "rates[0].suspect", "true or false"),
        ("accelerators: 8", "accelerators: many", "accelerators", "whole number"),
        ("accelerators: 8", "accelerators: 0", "accelerators", "at least 1"),
        ("    provider: us\n", "", "provider", "is missing"),
        ("provider: us", "providr: us", "providr", "not a known field"),
        (f"[{RATE}]", "[]", "rates", "has no rate"),
        (f"[{RATE}]", "12 USD/h", "rates", "expected a list"),
        (f"[{RATE}]", "[12 USD/h]", "rates[0]", "mapping of fields"),
    ],
)
def test_malformed_prices_give_located_errors(overlay: Overlay, old: str, new: str, field: str, message: str) -> None:
    good = f"""prices:
  my-box:
    provider: us
    instance: box
    accelerator: h100
    accelerators: 8
    rates: [{RATE}]
"""
    assert old in good
    with pytest.raises(CatalogError, match=message) as found:
        overlay(good.replace(old, new))
    assert found.value.field == f"prices.my-box.{field}"
    assert found.value.line is not None
    assert found.value.file.endswith("mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cost_assumptions: {electricty: {value: 1 USD/kWh}}", "not a known default"),
        ("cost_assumptions: {electricity: {value: 1 USD/h}}", "expected .USD/joule."),
        ("cost_assumptions: {electricity: 3}", "mapping"),
        ("cost_assumptions: {electricity: {note: x}}", "is missing"),
        ("cost_assumptions: {residual: {value: -0.1}}", "."),
        ("purchase_prices: {h100-sxm5-80gb: {rates: [{price: 3 USD/h, date: 2026}]}}", "expected .USD."),
        ("purchase_prices: {h100-sxm5-80gb: {rates: [{market: spot, price: 3 USD, date: 2026}]}}", "not a known field"),
        ("prices: {aws-p5.48xlarge: {accelerators: 4, rates: []}}", "differs from the entry that exists"),
        ("price: {}", "not a known section"),
    ],
)
def test_malformed_defaults_and_changes_are_refused(overlay: Overlay, text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message) as found:
        overlay(text)
    assert found.value.line is not None
