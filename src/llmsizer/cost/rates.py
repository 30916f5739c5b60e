"""Which price holds: the words of a question (`price`, `price_date`) become rented or owned hardware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date as calendar_date
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption, find_offer, find_provider, offers_for, price_names
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName, UnsupportedCombination, nearest
from llmsizer.core.explain import QUESTION, Provenance, Source, plain
from llmsizer.core.quantities import human, parse_quantity
from llmsizer.cost.owned import owned_hardware
from llmsizer.formulas.cost import instances_needed, rent
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import MARKETS, Offer, OwnedHardware, Rate, Rental

_OWN_PRICE = re.compile(r"\s*(?:\$\s*)?([\d.]+)\s*(?:USD|\$)?\s*/\s*([a-zA-Z]+)\s*(?:[x×]\s*(\d{1,4}))?\s*", re.IGNORECASE)
_NAMED = re.compile(r"(?P<name>[^:@]+)(?::(?P<market>[^:@]*))?(?:@(?P<region>.+))?")


def chosen_price(
    word: Any, catalog: Catalog, device: Accelerator, *, devices: int = 1, replicas: int = 1, price_date: str | None = None
) -> Rental | OwnedHardware | None:
    """The hardware and its price that a ``price`` word means.

    ``word``: a price id or a provider's instance name, a provider (its cheapest instance for the
    deployment), each with ``:spot`` or ``:reserved`` and ``@REGION`` after it; ``2.50 USD/h`` (own
    price of a device and hour; ``20 USD/h x 8`` of an instance); ``owned`` or
    ``owned:purchase=25000 USD,life=4 years``; a mapping ``{"owned": {…}}``; a noun; or None: the median
    provider. None is returned where no price is known for the device.

    Raises UnknownName with the nearest names, UnsupportedCombination for an instance of another device.
    """
    if isinstance(word, (Rental, OwnedHardware)):
        return word
    as_of = checked_day(price_date) if price_date else None
    if word is None:
        return usual_rental(catalog, device, as_of=as_of)
    if isinstance(word, Mapping) and set(word) == {"owned"}:
        return owned_hardware(catalog, device, word["owned"] or {}, as_of)
    if not isinstance(word, str):
        raise InvalidQuestion(f"--price: expected a name or a price with its unit, got {word!r:.40}", "for example: 2.50 USD/h")
    if word.strip().lower().startswith("owned"):
        return owned_hardware(catalog, device, _owned_words(word), as_of)
    if re.match(r"\s*(?:\$|[-+]?[\d.]+(?:\s|$|USD|\$))", word):
        return own_rental(word, device)
    return _named_rental(word, catalog, device, devices, replicas, as_of)


def checked_day(text: str) -> str:
    """A day as YYYY-MM-DD. Raises InvalidQuestion."""
    try:
        return calendar_date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise InvalidQuestion(f"--price-date: expected YYYY-MM-DD, got '{str(text)[:40]}'") from None


def _owned_words(word: str) -> dict[str, str]:
    name, _, rest = word.strip().partition(":")
    if name.lower() != "owned":
        raise UnknownName("price", word, ["owned"])
    found = {}
    for part in filter(None, (each.strip() for each in rest.split(","))):
        key, separator, value = part.partition("=")
        if not separator:
            raise InvalidQuestion(f"--price: expected KEY=VALUE, got '{part[:40]}'", "for example: owned:purchase=25000 USD")
        found[key.strip()] = value.strip()
    return found


def own_rental(word: str, device: Accelerator) -> Rental:
    """A price the user gives: of a device and hour, or (``x 8``) of an instance with so many."""
    match = _OWN_PRICE.fullmatch(word)
    if match is None or not re.search(r"USD|\$", word, re.IGNORECASE):
        raise UnitError(f"--price: expected a price with its unit, got '{word[:40]}'", "Write for example: 2.50 USD/h")
    price = parse_quantity(f"{match.group(1)} USD/{match.group(2)}", "USD/second")
    count = int(match.group(3) or 1)
    if not price > 0 or count < 1:
        raise InvalidQuestion(f"--price: expected a positive price, got '{word[:40]}'")
    return Rental(
        name=f"own price, {word.strip()}", price=price, accelerators=count, accelerator=device.id,
        market="own", provenance=Provenance(QUESTION),
    )  # fmt: skip


def _named_rental(word: str, catalog: Catalog, device: Accelerator, devices: int, replicas: int, as_of: str | None) -> Rental:
    match = _NAMED.fullmatch(word.strip())
    name, market, region = (match["name"].strip(), match["market"], match["region"]) if match else (word, None, None)
    market = (market or "on-demand").strip().lower()
    if market not in MARKETS:
        near = nearest(market, MARKETS)
        raise InvalidQuestion(f"--price: '{market[:40]}' is no market", f"one of: {', '.join(near or MARKETS)}")
    found = find_offer(catalog, name)
    if found is not None:
        if found.accelerator != catalog.accelerator(device.id.partition("@")[0]).id:
            others = ", ".join(each.id for each in offers_for(catalog, device.id)[:4]) or "none in the catalog"
            raise UnsupportedCombination(
                f"price '{found.id}' is for {found.accelerator}, not for {device.id}", f"for {device.id}: {others}"
            )
        return rental_of(catalog, found, rate_of(found, market, region, as_of), as_of)
    provider = find_provider(catalog, name)
    if provider is None:
        raise UnknownName("price", name, price_names(catalog), "Or give your own: 2.50 USD/h, or owned.")
    held = rentals(catalog, device.id, provider=provider, market=market, region=region, as_of=as_of)
    if not held:
        raise UnsupportedCombination(
            f"no {market} price of {provider} for {device.id}" + (f" in {region}" if region else ""),
            _where_else(catalog, device.id),
        )
    return cheapest(held, devices, replicas)


def _where_else(catalog: Catalog, accelerator: str) -> str:
    held = offers_for(catalog, accelerator)
    known = dict.fromkeys(f"{each.provider} ({rate.market})" for each in held for rate in each.rates)
    return f"known for it: {', '.join(list(known)[:6])}" if known else "Give your own: --price '2.50 USD/h'"


def rate_of(offer: Offer, market: str, region: str | None = None, as_of: str | None = None) -> Rate:
    """The rate of an instance: the newest that is valid (on ``as_of``), and among equals the cheapest.

    Raises UnsupportedCombination that says what there is.
    """
    found = [rate for rate in offer.rates if rate.market == market and not rate.suspect]
    found = [rate for rate in found if region is None or rate.region.lower() == region.strip().lower()]
    found = [rate for rate in found if as_of is None or rate.first_day <= as_of]
    if not found:
        known = [f"{r.market} {r.region} {r.date}{' (suspect)' if r.suspect else ''}" for r in offer.rates]
        wanted = " ".join(filter(None, (market, f"in {region}" if region else "", f"as of {as_of}" if as_of else "")))
        raise UnsupportedCombination(f"'{offer.id}' has no price {wanted}", f"known: {'; '.join(dict.fromkeys(known))}")
    newest = max(rate.first_day for rate in found)
    return min((rate for rate in found if rate.first_day == newest), key=lambda rate: rate.hourly)


def rental_of(catalog: Catalog, offer: Offer, rate: Rate, as_of: str | None = None) -> Rental:
    """The rental of an instance at one of its rates; spot instances with their interruptions."""
    notes = []
    if ".." in rate.date:
        notes.append(f"the day of the price is not known, only {rate.date.replace('..', ' to ')}")
    if rate.note:
        notes.append(rate.note)
    if rate.low is not None and rate.high is not None:
        notes.append(f"ranges from {human(rate.low, 'USD/second')} to {human(rate.high, 'USD/second')}")
    fields: dict[str, Source] = {}
    spot = {}
    if rate.market == "spot":
        for name in ("interruption_rate", "restart_time"):
            default = assumption(catalog, name)
            spot[name], fields[name] = default.number, default.source
    place = f" {rate.region}" if rate.region else ""
    title = Source(rate.source.title, rate.date, rate.source.tier, rate.source.note)
    return Rental(
        name=f"{offer.id} {rate.market}{place}", price=rate.hourly, accelerators=offer.accelerators,
        accelerator=offer.accelerator, provider=offer.provider, market=rate.market, region=rate.region, date=rate.date,
        notes=tuple(notes), provenance=Provenance(title, fields), **spot,
    )  # fmt: skip


def rentals(
    catalog: Catalog,
    accelerator: str,
    *,
    provider: str | None = None,
    market: str = "on-demand",
    region: str | None = None,
    as_of: str | None = None,
) -> list[Rental]:
    """Every instance that holds a device, at its valid price; those without one are left out."""
    found = []
    for each in offers_for(catalog, accelerator.partition("@")[0], provider):
        try:
            found.append(rental_of(catalog, each, rate_of(each, market, region, as_of), as_of))
        except UnsupportedCombination:
            continue
    return found


def fleet_rent(rental: Rental, devices: int, replicas: int) -> float:
    """USD a second for so many replicas on whole instances."""
    return float(plain(rent(instances_needed(devices, replicas, rental.accelerators), rental.price)))


def cheapest(held: list[Rental], devices: int, replicas: int = 1) -> Rental:
    """The rental that holds the deployment at the lowest cost: instances that hold a whole replica
    where there are any, else the largest."""
    largest = max(float(each.accelerators) for each in held)
    fitting = [each for each in held if each.accelerators >= min(devices, largest)]
    return min(fitting, key=lambda each: (fleet_rent(each, devices, replicas), each.name))


def usual_rental(catalog: Catalog, device: Accelerator, *, as_of: str | None = None) -> Rental | None:
    """The price taken when none is asked for: each provider's cheapest instance with the device, and
    of these the median by the price of a device (the lower of two), counted for the devices in use alone.
    None where no on-demand price is known."""
    held = rentals(catalog, device.id, as_of=as_of)
    if not held:
        return None

    def each_device(rental: Rental) -> float:
        return float(rental.price / rental.accelerators)

    names = dict.fromkeys(rental.provider for rental in held)
    cheap = [min((r for r in held if r.provider == name), key=lambda r: (each_device(r), r.name)) for name in names]
    ranked = sorted(cheap, key=lambda rental: (each_device(rental), rental.name))
    chosen = ranked[(len(ranked) - 1) // 2]
    low, high = (human(each_device(each), "USD/second") for each in (ranked[0], ranked[-1]))
    note = (
        f"no price was given: the median of {len(ranked)} providers, which ask {low} to {high} for a device; "
        "name a provider or an instance to count whole instances"
    )
    return replace(
        chosen, name=f"{chosen.name}, per device", price=each_device(chosen), accelerators=1, notes=(note, *chosen.notes)
    )
