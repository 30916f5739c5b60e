"""What a plan is asked: the traffic, the targets, and what may be chosen from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption
from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.cost.demand import Demand
from llmsizer.planner.aims import AIMS
from llmsizer.planner.targets import Target
from llmsizer.question.words import Words, checked_choice

ANY = "any"
PICKS = 5


# What is tried where nobody names formats: the checkpoint's own, and what engines make of 16-bit weights while they load.
USUAL_FORMATS = ("auto", "fp8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What may be chosen. Empty: anything; ``any`` in ``formats`` or ``cache_formats``: all that the
    engine loads (``auto`` is the checkpoint's own).

    ``price``: one word for every device (see ``llmsizer prices``); None takes the cheapest instance of
    ``providers``, ``regions`` and ``markets``. ``most_devices`` bounds one replica; the other limits bound
    the whole deployment.
    """

    hardware: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("vllm",)
    formats: tuple[str, ...] = USUAL_FORMATS
    cache_formats: tuple[str, ...] = ("auto",)
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    markets: tuple[str, ...] = ("on-demand",)
    price: Any = None
    price_date: str | None = None
    most_devices: int = 16
    most_devices_in_all: int | None = None
    most_usd_per_hour: float | None = None
    most_watts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuestion:
    """One workload, its demand and its targets, and the choices.

    ``words`` hold the model, the lengths and whatever is fixed; their device and load are not read.
    The demand is a peak ``request_rate``, a ``demand`` that changes over time, or ``concurrency``
    requests in flight. ``headroom``: share of a replica's capacity kept free (None: the catalog's
    default); ``spare``: replicas beyond the need. ``growth``: the demand to come, as a multiple. ``by``: what
    the answer is ranked by (``AIMS``); what bears most needs no demand. ``disaggregated``: separate pools for prefill
    and decode are tried too.
    """

    words: Words
    targets: tuple[Target, ...] = ()
    request_rate: float | None = None
    concurrency: int | None = None
    demand: Demand | None = None
    headroom: float | None = None
    spare: int = 0
    growth: float = 3.0
    choices: Choices = field(default_factory=Choices)
    picks: int = PICKS
    confirm: bool = True
    by: str = "cost"
    disaggregated: bool = False

    def __post_init__(self) -> None:
        given = sum(each is not None for each in (self.request_rate, self.concurrency, self.demand))
        limits = (self.choices.most_devices_in_all, self.choices.most_usd_per_hour, self.choices.most_watts)
        if AIMS[checked_choice("by", self.by, list(AIMS))].spends and limits == (None, None, None):
            raise InvalidQuestion(
                f"--by {self.by} needs a limit, since more replicas are always better",
                "give a budget (--budget '20 USD/h'), a number of devices (--quota 8) or a power (--max-power '10 kW')",
            )
        if given != 1 and (given or self.by != "throughput"):
            raise InvalidQuestion(
                "a plan needs the traffic: one of request_rate, concurrency or demand", "for example: --rate 10"
            )

    @property
    def has_demand(self) -> bool:
        """Whether the traffic is given; else it is what the deployment bears."""
        return (self.request_rate, self.concurrency, self.demand) != (None, None, None)

    @property
    def peak(self) -> float:
        """The most that comes at a time: requests a second, or requests in flight."""
        if self.demand is not None:
            return max(self.demand.rates)
        return float(self.request_rate if self.request_rate is not None else self.concurrency or 0)

    def template(self) -> Words:
        """The words without device and load."""
        return replace(self.words, hardware="", concurrency=None, request_rate=None)


def headroom_of(question: PlanQuestion, catalog: Catalog) -> float:
    """The share of the capacity kept free: the question's, else the catalog's default."""
    return assumption(catalog, "headroom").number if question.headroom is None else question.headroom


def checked_choice_list(name: str, given: tuple[str, ...], known: list[str]) -> None:
    """Refuses a choice that is none of the known ones, with the nearest."""
    folded = {each.lower() for each in known}
    for each in given:
        if each.lower() not in folded:
            near = nearest(each, known) or known
            raise InvalidQuestion(f"{name}: '{each[:40]}' is not known", f"Did you mean: {', '.join(near[:6])}?")
