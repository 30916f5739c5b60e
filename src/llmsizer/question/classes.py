"""Classes of requests in words: ``chat:share=0.7,isl=800..1000,osl=200,ttft=500ms``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.core.quantities import quantity_of
from llmsizer.question.lengths import lengths_of
from llmsizer.question.words import LARGEST_LENGTH, checked_fraction, checked_integer
from llmsizer.schema.lengths import Fixed, Lengths
from llmsizer.schema.workload import Conversation, HitRate, Mix, PrefixGroups, RequestClass, Sharing, Targets

DEFAULTS = {"isl": 1024, "osl": 256}
TARGETS = ("ttft", "tpot", "e2e")


def _time(key: str, text: str) -> float:
    seconds = quantity_of(f"--class {key}", text, "second")
    if seconds < 0 or (seconds == 0 and key in TARGETS):
        raise InvalidQuestion(f"--class {key}: expected a time {'above' if key in TARGETS else 'of at least'} 0, got {text}")
    return seconds


# What each key holds; a class has at most one way of sharing.
READ: Mapping[str, Callable[[str], Any]] = {
    "share": lambda text: checked_fraction("class share", text, 1e-9, 1e9),
    "isl": lambda text: lengths_of("isl", text),
    "osl": lambda text: lengths_of("osl", text),
    "priority": lambda text: checked_integer("class priority", text, -1000, 1000),
    "hits": lambda text: checked_fraction("class hits", text),
    "groups": lambda text: checked_integer("class groups", text),
    "prefix": lambda text: checked_integer("class prefix", text, most=LARGEST_LENGTH),
    "skew": lambda text: checked_fraction("class skew", text, most=10.0),
    "turns": lambda text: checked_integer("class turns", text, most=1000),
    "shared": lambda text: checked_integer("class shared", text, 0, LARGEST_LENGTH),
    **{key: partial(_time, key) for key in (*TARGETS, "think")},
}
HINT = "for example: --class chat:share=0.7,isl=800..1000,osl=200,ttft=500ms"


def mix_of(texts: Iterable[str] | None) -> Mix | None:
    """The classes of several words; None without any."""
    found = tuple(class_of(text, place) for place, text in enumerate(texts or (), 1))
    return Mix(found) if found else None


def class_of(text: str, place: int = 1) -> RequestClass:
    """One class. InvalidQuestion says which key is wrong.

    >>> class_of("chat:share=0.5,isl=100,osl=20").name
    'chat'
    """
    if not text.strip():
        raise InvalidQuestion("--class: expected a name or KEY=VALUE, got nothing", HINT)
    name, colon, rest = text.partition(":") if "=" not in text.split(":", 1)[0] else ("", "", text)
    pairs = [_pair(part.strip()) for part in (rest if colon or rest else text).split(",") if part.strip()]
    return class_with(name.strip() or f"class {place}", dict(pairs))


def class_with(name: str, values: Mapping[str, Any]) -> RequestClass:
    """A class from its keys and what was written for each. Raises InvalidQuestion for a key or value that is wrong."""
    found = {key: _read(key, str(value)) for key, value in values.items()}
    prompts = found.get("isl", Fixed(DEFAULTS["isl"]))
    _check_prefix(found, prompts)
    targets = {f"{key}_seconds": found[key] for key in TARGETS if key in found}
    return RequestClass(
        name=name, share=found.get("share", 1.0), input_tokens=prompts,
        output_tokens=found.get("osl", Fixed(DEFAULTS["osl"])), priority=found.get("priority", 0), sharing=_sharing(found),
        targets=Targets(**targets) if targets else None,
    )  # fmt: skip


def _pair(part: str) -> tuple[str, str]:
    key, separator, value = part.partition("=")
    if not separator:
        raise InvalidQuestion(f"--class: expected KEY=VALUE, got '{part[:40]}'", HINT)
    return key.strip(), value.strip()


def _read(key: str, value: str) -> Any:
    if key not in READ:
        near = nearest(key, READ)
        raise InvalidQuestion(f"--class: '{key[:40]}' is not known", f"Did you mean: {', '.join(near) or ', '.join(READ)}?")
    return READ[key](value)


def _check_prefix(found: Mapping[str, Any], prompts: Lengths) -> None:
    """A prefix is a part of the prompt: one that no prompt is long enough for is a mistake."""
    longest = int(prompts.support()[0].max())
    if found.get("prefix", 0) > longest:
        raise InvalidQuestion(
            f"--class prefix: {found['prefix']:,} tokens are more than the longest prompt, {longest:,}",
            "isl counts the whole prompt, the prefix included",
        )


def _sharing(found: Mapping[str, Any]) -> Sharing | None:
    ways: dict[str, Callable[[], Sharing]] = {
        "hits": lambda: HitRate(rate=found["hits"]),
        "prefix": lambda: PrefixGroups(tokens=found["prefix"], groups=found.get("groups", 1), skew=found.get("skew", 0.0)),
        "turns": lambda: Conversation(
            turns=found["turns"], think_seconds=found.get("think", 0.0), shared_tokens=found.get("shared", 0)
        ),
    }
    chosen = [way for way in ways if way in found]
    if len(chosen) > 1:
        raise InvalidQuestion(f"--class: {chosen[0]} and {chosen[1]} exclude each other", "a class shares prefixes in one way")
    for key, way in (("groups", "prefix"), ("skew", "prefix"), ("think", "turns"), ("shared", "turns")):
        if key in found and way not in found:
            raise InvalidQuestion(f"--class: {key} needs {way}", HINT)
    return ways[chosen[0]]() if chosen else None
