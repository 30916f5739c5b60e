"""Two answers to one question: the figures that differ, the facts that changed, and what each change moves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.inputs import Input
from llmsizer.core.results import Result, flat
from llmsizer.differences.put_back import SECTIONS, put_back
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.schema.price import OwnedHardware, Rental

# The figures whose moves are told for every change, in the order they are told in.
MAIN = (
    "memory.per_gpu.weights_bytes", "memory.per_gpu.activation_bytes", "memory.per_gpu.kv_cache_bytes",
    "memory.kv_capacity_tokens", "latency.ttft_seconds", "latency.tpot_seconds", "latency.e2e_seconds",
    "throughput.output_tokens_per_second", "cost.usd_per_hour", "cost.usd_per_million_output_tokens",
)  # fmt: skip
PARTS = ("fits", "memory", "latency", "throughput", "prefill", "decode", "load", "cost", "evidence")
SAME = 1e-9  # relative; two runs of one program may differ in the last digits


@dataclass(frozen=True, slots=True)
class Difference:
    """Something, called ``name``, that is not the same in the ``old`` and the ``new`` answer; None: not there."""

    name: str
    old: Any
    new: Any

    @property
    def percent(self) -> float | None:
        """By how much a number grew, in percent of the old."""
        return _percent(self.old, self.new)

    def to_dict(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {"name": self.name, "old": self.old, "new": self.new, "percent": self.percent}


@dataclass(frozen=True, slots=True)
class FactChange:
    """A fact that changed, ``old`` and ``new``; None on the side that does not have it.

    ``moves``: by how many percent each main figure moves by this change alone, all others made (None: not known).
    """

    old: Input | None
    new: Input | None
    moves: Mapping[str, float] | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Section, entry and field of the catalog."""
        known = self.new or self.old
        assert known is not None, "a change has a side"
        return known.place

    def to_dict(self) -> dict[str, Any]:
        """The change as plain data."""
        section, entry, name = self.place
        known = self.new or self.old
        return {
            "section": section, "entry": entry, "field": name, "unit": known.unit if known else "1",
            "old": self.old and self.old.value, "new": self.new and self.new.value,
            "old_source": self.old and self.old.source, "new_source": self.new and self.new.source,
            "moves_percent": None if self.moves is None else dict(self.moves),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Changes(Result):
    """What differs between two answers, or (without a question) between two catalogs.

    ``what``: what was compared. ``made_with``: versions, old and new. ``question``: words that were resolved in another
    way. ``figures``: all that differ. ``facts``: what changed in the catalogs, each with what it moves. ``rest``: by how
    many percent the main figures still move with those changes undone: by what cannot be undone alone, and by llmsizer's
    own code (None: the question was not asked again). ``notes``: what could not be compared.
    """

    what: str
    made_with: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    question: tuple[Difference, ...] = ()
    figures: tuple[Difference, ...] = ()
    facts: tuple[FactChange, ...] = ()
    rest: Mapping[str, float] | None = None
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The changes as plain data."""
        old, new = self.made_with
        return {
            "what": self.what, "made_with": {"old": dict(old), "new": dict(new)},
            "question": [each.to_dict() for each in self.question], "figures": [each.to_dict() for each in self.figures],
            "facts": [each.to_dict() for each in self.facts],
            "rest_percent": None if self.rest is None else dict(self.rest), "notes": list(self.notes),
        }  # fmt: skip

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each difference: of the question, of a figure, or a fact."""
        rows = [{"kind": "question", **each.to_dict()} for each in self.question]
        rows += [{"kind": "figure", **each.to_dict()} for each in self.figures]
        for each in self.facts:
            known = Difference(".".join(each.place), each.old and each.old.value, each.new and each.new.value)
            rows.append({"kind": "fact", **known.to_dict()})
        return rows

    def __repr__(self) -> str:
        return f"<Changes {self.what}: {len(self.figures)} figures and {len(self.facts)} facts differ>"


def _percent(old: Any, new: Any) -> float | None:
    if not (_is_number(old) and _is_number(new) and old):
        return None
    return 100.0 * (float(new) / float(old) - 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """The entries that are not the same in two mappings."""
    names = dict.fromkeys([*new, *old])
    return [Difference(name, old.get(name), new.get(name)) for name in names if not _same(old.get(name), new.get(name))]


def _same(old: Any, new: Any) -> bool:
    if _is_number(old) and _is_number(new):
        return math.isclose(old, new, rel_tol=SAME)
    return bool(old == new)


def figures_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an answer by their dotted path."""
    found = {name: answer[name] for name in PARTS if name in answer}
    return {path: value for path, value in flat(found) if not isinstance(value, list)}


def changed_facts(old: Iterable[Input], new: Iterable[Input]) -> list[FactChange]:
    """The facts that are not the same on both sides."""
    before, after = {each.place: each for each in old}, {each.place: each for each in new}
    places = dict.fromkeys([*before, *after])
    pairs = [FactChange(before.get(place), after.get(place)) for place in places]
    return [pair for pair in pairs if pair.old is None or pair.new is None or not _same(pair.old.value, pair.new.value)]


def plain_answer(words: Words, catalog: Catalog) -> dict[str, Any]:
    """The answer to a question as it is saved."""
    found: dict[str, Any] = json.loads(json.dumps(ask(words, catalog).to_dict()))
    return found


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks a question again with some facts as they were."""

    words: Words
    catalog: Catalog

    def moves(self, change: FactChange, now: Mapping[str, Any]) -> Mapping[str, float] | None:
        """By how many percent the main figures move by one change; None where it cannot be undone alone."""
        if not _can_be_undone(change):
            return None
        before = self.undone([change])
        return None if before is None else dict(moved(figures_of(before), now))

    def undone(self, changes: Sequence[FactChange]) -> dict[str, Any] | None:
        """The answer with some changes undone; None where that question has none."""
        catalog = put_back(self.catalog, [_old_of(each) for each in changes if each.place[0] in SECTIONS])
        prices = {each.old.field: each.old.value for each in changes if each.place[0] == "prices" and each.old is not None}
        words = replace(self.words, price=self._price(prices)) if prices else self.words
        try:
            return plain_answer(words, catalog)
        except (LlmsizerError, ArithmeticError, ValueError):  # an old value that belongs with others, or is none
            return None

    def _price(self, old: Mapping[str, Any]) -> Rental | OwnedHardware:
        cost: Any = ask(self.words, self.catalog).cost
        price: Rental | OwnedHardware = replace(cost.case.price, **old)
        return price


def _can_be_undone(change: FactChange) -> bool:
    section, old, new = change.place[0], change.old, change.new
    if new is None or section not in (*SECTIONS, "prices"):
        return False
    return section in ("accelerators", "nodes", "models") if old is None else _is_alike(old.value, new.value)


def _is_alike(old: Any, new: Any) -> bool:
    """Whether an old value can stand where the new one does."""
    if isinstance(new, Mapping):
        return isinstance(old, Mapping) and set(old) == set(new) and all(_is_alike(old[name], new[name]) for name in new)
    return _is_number(old) if _is_number(new) else type(old) is type(new)


def _old_of(change: FactChange) -> Input:
    """The old fact; of a fact that was not there, that it was not."""
    if change.old is not None:
        return change.old
    assert change.new is not None, "a change has a side"
    return replace(change.new, value=None)


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The main figures that move, with by how many percent."""
    for name in MAIN:
        percent = _percent(old.get(name), new.get(name))
        if percent is not None and not _same(old.get(name), new.get(name)):
            yield name, percent
