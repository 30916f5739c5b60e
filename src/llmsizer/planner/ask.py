"""A planning question from words: what the Python API, the command line and plan files share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.core.quantities import quantity_of
from llmsizer.cost.demand import demand_of
from llmsizer.planner.question import PICKS, Choices, PlanQuestion, checked_choice_list
from llmsizer.planner.targets import targets_of
from llmsizer.question.words import LARGEST_COUNT, Words, checked_fraction, checked_integer
from llmsizer.schema.price import MARKETS

LISTS = ("hardware", "vendors", "engines", "formats", "cache_formats", "providers", "regions", "markets")
# Words of an estimate that a plan chooses itself, or asks for under another name.
CHOSEN = (
    "hardware", "quantization", "kv_cache_dtype", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
    "enable_expert_parallel", "engine", "price", "price_date", "concurrency", "request_rate", "num_prompts",
    "ignore_memory", "offload",
)  # fmt: skip
PLAIN_WORDS = tuple(each.name for each in fields(Words) if each.name not in CHOSEN)
QUESTION_WORDS = (
    "targets",
    "request_rate",
    "concurrency",
    "demand",
    "headroom",
    "spare",
    "growth",
    "picks",
    "confirm",
    "by",
    "disaggregated",
)
CHOICE_WORDS = tuple(each.name for each in fields(Choices))


def question_of(given: Mapping[str, Any]) -> PlanQuestion:
    """The question that some words ask. Raises InvalidQuestion with the nearest for a word nobody knows."""
    known = (*PLAIN_WORDS, *QUESTION_WORDS, *CHOICE_WORDS)
    for word in given:
        if word not in known:
            near = nearest(word, known)
            raise InvalidQuestion(f"'{word}' is not known to a plan", f"Did you mean: {', '.join(near) or ', '.join(known)}?")
    told = {name: value for name, value in given.items() if value is not None}
    plain = {name: told[name] for name in PLAIN_WORDS if name in told}
    if "model" not in plain:
        raise InvalidQuestion("a plan needs a model", "for example: -m llama-3.1-8b")
    _check_classes(plain.get("workload"))
    return PlanQuestion(
        words=Words(hardware="", **plain), targets=targets_of(told.get("targets")), choices=_choices(told),
        request_rate=_rate(told.get("request_rate")), concurrency=_count("concurrency", told),
        demand=None if "demand" not in told else demand_of(told["demand"]), headroom=_share("headroom", told),
        spare=_count("spare", told, least=0) or 0, growth=_growth(told.get("growth", 3.0)),
        picks=_count("picks", told) or PICKS, confirm=bool(told.get("confirm", True)),
        by=str(told.get("by", "cost")), disaggregated=bool(told.get("disaggregated", False)),
    )  # fmt: skip


def _check_classes(workload: Any) -> None:
    """A plan holds its targets against all requests together."""
    for kind in getattr(workload, "classes", ()):
        if kind.targets is not None:
            raise InvalidQuestion(
                f"class '{kind.name}': a plan's targets hold for all requests together",
                "give them to the plan (--ttft 500ms), or each class a workload of its own in a plan file",
            )


def _rate(given: Any) -> float | None:
    return None if given is None else checked_fraction("request_rate", given, least=1e-6, most=1e6)


def _growth(given: Any) -> float:
    return checked_fraction("growth", given, least=0.01, most=1e4)


def _share(name: str, told: Mapping[str, Any]) -> float | None:
    return None if name not in told else checked_fraction(name, told[name], most=0.99)


def _count(name: str, told: Mapping[str, Any], least: int = 1, most: int = LARGEST_COUNT) -> int | None:
    return None if name not in told else checked_integer(name, told[name], least, most)


def _choices(told: Mapping[str, Any]) -> Choices:
    lists: dict[str, Any] = {name: _names(name, told[name]) for name in LISTS if name in told}
    checked_choice_list("markets", lists.get("markets", ()), list(MARKETS))
    rest: dict[str, Any] = {name: told[name] for name in ("price", "price_date") if name in told}
    if "most_devices" in told:
        rest["most_devices"] = checked_integer("most_devices", told["most_devices"], most=1024)
    if "most_devices_in_all" in told:
        rest["most_devices_in_all"] = checked_integer("most_devices_in_all", told["most_devices_in_all"])
    for name, unit in (("most_usd_per_hour", "USD/second"), ("most_watts", "joule/second")):
        if name in told:
            rest[name] = _amount(name, told[name], unit)
    return Choices(**lists, **rest)


LIMITS = {"most_usd_per_hour": "budget", "most_watts": "power"}  # as plan files call them


def _amount(name: str, given: Any, unit: str) -> float:
    """A limit with its unit; a bare number is USD an hour or watts, as the word says."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return checked_fraction(name, given, least=1e-9, most=1e12)
    number = quantity_of(LIMITS[name], given, unit) * (3600.0 if unit == "USD/second" else 1.0)
    return checked_fraction(name, number, least=1e-9, most=1e12)


def _names(name: str, given: Any) -> tuple[str, ...]:
    """Names from a list, or from text with commas; ``any`` of devices and vendors is no choice at all."""
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or not all(isinstance(each, str) for each in parts):
        raise InvalidQuestion(f"{name}: expected names, got {given!r:.40}")
    found = tuple(each.strip() for each in parts if each.strip())
    if not found:
        raise InvalidQuestion(f"{name}: expected at least one name")
    return () if found == ("any",) and name in ("hardware", "vendors", "providers", "regions") else found
