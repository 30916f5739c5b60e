"""How typed names find their entry: ids, aliases, without organisation, in any case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_SUFFIXES = re.compile(r"(?:-(?:instruct|chat|hf|it|base|pt|bf16))+$")
_PREFIXES = re.compile(r"^(?:meta-|c4ai-|nvidia-)")


def answers_of(name: str, aliases: Iterable[str]) -> dict[str, int]:
    """The lower-case names an entry answers to, each with its rank (0 is the strongest claim)."""
    answers: dict[str, int] = {}
    for given, rank in [(name, 0), *((alias, 1) for alias in aliases)]:
        lowered = given.lower()
        tail = lowered.rsplit("/", 1)[-1]
        short = _PREFIXES.sub("", _SUFFIXES.sub("", tail))
        for answer, extra in ((lowered, 0), (tail, 2), (short, 4)):
            answers[answer] = min(answers.get(answer, 99), rank + extra)
    return answers


def name_table(entries: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Each lower-case name with the id it means; where several claim one, the strongest claim wins,
    and then the first entry."""
    best: dict[str, tuple[int, str]] = {}
    for name, aliases in entries.items():
        for answer, rank in answers_of(name, aliases).items():
            if answer not in best or rank < best[answer][0]:
                best[answer] = (rank, name)
    return {answer: name for answer, (_, name) in best.items()}


def normal(name: str) -> str:
    """A typed name as the table spells it."""
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def find(table: Mapping[str, str], name: str) -> str | None:
    """The id a typed name means, or None."""
    lowered = name.strip().lower()
    if lowered in table:
        return table[lowered]
    tail = normal(lowered).rsplit("/", 1)[-1]
    for candidate in (normal(lowered), tail, _PREFIXES.sub("", _SUFFIXES.sub("", tail))):
        if candidate in table and (candidate == normal(lowered) or "/" not in lowered):
            return table[candidate]
    return None
