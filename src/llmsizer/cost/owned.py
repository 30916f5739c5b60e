"""Owned hardware: what is given, and the catalog's defaults (each an assumption) for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption, cost_number, purchase_offer
from llmsizer.core.errors import InvalidQuestion, UnitError, nearest
from llmsizer.core.explain import QUESTION, Provenance, Source, worst_tier
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.price import OwnedHardware, Power

# What may be said about owned hardware, with its unit.
OWNED_WORDS = {
    "purchase": "USD", "host": "USD", "life": "second", "residual": "1", "cost_of_capital": "1/second",
    "load_power": "joule/second", "idle_power": "joule/second", "host_power": "joule/second",
    "power_usage_effectiveness": "1", "cooling": "1", "electricity": "USD/joule", "hosting": "USD/joule",
}  # fmt: skip
SHORT = {"pue": "power_usage_effectiveness", "years": "life", "capital": "cost_of_capital", "interest": "cost_of_capital"}


class _Facts:
    """Gathers numbers with their sources: what the user says, else a default of the catalog."""

    def __init__(self, catalog: Catalog, given: Mapping[str, float]) -> None:
        self.catalog, self.given = catalog, given
        self.sources: dict[str, Source] = {}

    def number(self, name: str, default: Callable[[], tuple[float, Source]]) -> float:
        if name in self.given:
            self.sources[name] = QUESTION
            return self.given[name]
        number, self.sources[name] = default()
        return number

    def optional(self, name: str) -> float | None:
        if name in self.given:
            self.sources[name] = QUESTION
        return self.given.get(name)

    def assumed(self, name: str) -> tuple[float, Source]:
        found = assumption(self.catalog, name)
        return found.number, found.source

    def share_of(self, name: str, whole: float, source: Source) -> tuple[float, Source]:
        """A default that is a share of a fact, resting on both."""
        share, why = self.assumed(name)
        title = f"{name.replace('_', ' ')} {share:g}: {why.title}"
        return share * whole, Source(title, why.date, worst_tier([why.tier, source.tier]), why.note)


def owned_hardware(catalog: Catalog, device: Accelerator, given: Mapping[str, Any], as_of: str | None = None) -> OwnedHardware:
    """Bought devices: ``given`` overrides the defaults of the catalog.

    Words: ``purchase`` and ``host`` (USD for a device), ``life``, ``residual`` (share),
    ``cost_of_capital`` (%/year), ``load_power``, ``idle_power``, ``host_power`` (W for a device),
    ``power_usage_effectiveness`` (``pue``) or ``cooling``, ``electricity`` (USD/kWh), ``hosting``
    (USD/kW/month, or ``default``).

    Raises InvalidQuestion for a word that is not known, for cooling beside a PUE (it is inside), and
    where no purchase price or power is known.
    """
    facts = _Facts(catalog, _read(catalog, given))
    if {"cooling", "power_usage_effectiveness"} <= set(facts.given):
        raise InvalidQuestion(
            "--price owned: cooling is already inside power_usage_effectiveness (PUE)", "Give one of the two, never both."
        )
    purchase = facts.number("purchase", lambda: _purchase(catalog, device, as_of))
    bought = purchase_offer(catalog, device.id)
    whole_machine = bought is not None and bought.includes_host and "purchase" not in facts.given
    paid = facts.sources["purchase"]
    host = facts.number("host", lambda: (0.0, paid) if whole_machine else facts.share_of("host_share", purchase, paid))
    life, residual, interest, electricity = (
        facts.number(name, lambda name=name: facts.assumed(name))  # type: ignore[misc]
        for name in ("life", "residual", "cost_of_capital", "electricity")
    )
    _check(life, residual)
    overhead = None
    if "cooling" not in facts.given:
        overhead = facts.number("power_usage_effectiveness", lambda: facts.assumed("power_usage_effectiveness"))
        if overhead < 1:
            raise InvalidQuestion(f"--price owned: a PUE is at least 1, got {overhead:g}")
    load, idle, host_power = _powers(facts, device)
    return OwnedHardware(
        purchase=purchase, host=host, life=life, residual=residual, cost_of_capital=interest, electricity=electricity,
        load_power=load, idle_power=idle, host_power=host_power, power_usage_effectiveness=overhead,
        cooling=facts.optional("cooling"), hosting=facts.optional("hosting"),
        accelerator=device.id, provenance=Provenance(QUESTION, {**facts.sources, **_defaults_asked(catalog, given)}),
    )  # fmt: skip


def _read(catalog: Catalog, given: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word, value in given.items():
        name = SHORT.get(word, word)
        if name not in OWNED_WORDS:
            near = nearest(str(word), [*OWNED_WORDS, *SHORT])
            hint = f"Did you mean: {', '.join(near)}?" if near else f"known: {', '.join(OWNED_WORDS)}"
            raise InvalidQuestion(f"--price owned: '{str(word)[:40]}' is not known", hint)
        if name in found:
            raise InvalidQuestion(f"--price owned: '{name}' is given twice")
        if name == "hosting" and value in (True, "default"):
            found[name] = assumption(catalog, name).number
            continue
        try:
            found[name] = cost_number(name, value, OWNED_WORDS[name])
        except UnitError as error:
            raise InvalidQuestion(f"--price owned: {word}: {error.message}", error.hint) from None
    return found


def _defaults_asked(catalog: Catalog, given: Mapping[str, Any]) -> dict[str, Source]:
    asked = given.get("hosting") in (True, "default")
    return {"hosting": assumption(catalog, "hosting").source} if asked else {}


def _check(life: float, residual: float) -> None:
    if not life > 0:
        raise InvalidQuestion("--price owned: the life of the hardware must be longer than nothing")
    if not residual <= 1:
        raise InvalidQuestion(f"--price owned: the residual is a share of the purchase, got {residual:g}")


def _purchase(catalog: Catalog, device: Accelerator, as_of: str | None) -> tuple[float, Source]:
    found = purchase_offer(catalog, device.id)
    rates = [r for r in found.rates if not r.suspect and (as_of is None or r.first_day <= as_of)] if found else []
    if not rates:
        raise InvalidQuestion(
            f"--price owned: no purchase price of {device.id} is known" + (f" as of {as_of}" if as_of else ""),
            "Give it: owned:purchase=25000 USD",
        )
    rate = max(rates, key=lambda each: each.first_day)
    return rate.price, Source(rate.source.title, rate.date, rate.source.tier, rate.note or rate.source.note)


def _powers(facts: _Facts, device: Accelerator) -> tuple[float, float, float]:
    def share(name: str) -> tuple[float, Source]:
        if device.board_power is None:
            raise InvalidQuestion(f"--price owned: the power of {device.id} is not known", f"Give it: owned:{name}=400 W")
        return facts.share_of(f"{name}_share", float(device.board_power), device.provenance.of("board_power"))

    load, idle, host = (facts.number(n, lambda n=n: share(n)) for n in ("load_power", "idle_power", "host_power"))  # type: ignore[misc]
    if idle > load:
        raise InvalidQuestion(f"--price owned: idle_power {idle:g} W is more than load_power {load:g} W")
    return load, idle, host


def rented_power(catalog: Catalog, device: Accelerator) -> Power | None:
    """What a rented device draws by the catalog's defaults; None where its power is not known."""
    if device.board_power is None:
        return None
    facts = _Facts(catalog, {})
    load, idle, host = _powers(facts, device)
    overhead = facts.number("power_usage_effectiveness", lambda: facts.assumed("power_usage_effectiveness"))
    return Power(
        load_power=load, idle_power=idle, host_power=host, power_usage_effectiveness=overhead,
        provenance=Provenance(QUESTION, facts.sources),
    )  # fmt: skip
