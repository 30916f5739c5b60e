"""What a technique gains: the same traffic with it and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import InvalidQuestion, UnknownName
from llmsizer.question.words import Words
from llmsizer.simulation.asked import Asked, simulate_question
from llmsizer.simulation.result import SimulationResult, Summary

ALL = "all"


@dataclass(frozen=True, slots=True)
class Gain:
    """One technique: the summaries with it and without it (the steady part where there is one), and what is
    claimed for it."""

    name: str
    title: str
    with_it: Summary
    without: Summary
    claim: Mapping[str, Any]
    source: str

    @property
    def throughput(self) -> float:
        """How many times more output tokens a second."""
        return self.with_it.output_tokens_per_second / self.without.output_tokens_per_second

    def faster(self, latency: str) -> float | None:
        """How many times shorter the mean of ``ttft``, ``tpot`` or ``e2e`` is; None where nothing has it."""
        with_it, without = getattr(self.with_it, latency), getattr(self.without, latency)
        return without.mean / with_it.mean if with_it is not None and without is not None else None


def techniques() -> Mapping[str, Mapping[str, Any]]:
    """The techniques that can be taken away, by name."""
    found: Mapping[str, Mapping[str, Any]] = package_data("claims.yaml")["techniques"]
    return found


def gains(
    words: Words, asked: Asked, names: Iterable[str], catalog: Catalog, progress: Callable[[int, int], None] | None = None
) -> list[Gain]:
    """The gain of each technique named (or of ``all`` that the question has). Raises UnknownName, and
    InvalidQuestion for one that the question does not use."""
    known = techniques()
    chosen = list(dict.fromkeys(names))
    if ALL in chosen:
        chosen = [name for name in known if _used(name, words, asked)]
    base = _summary(simulate_question(words, asked, catalog, progress)[0])
    return [_gain(name, words, asked, base, catalog, progress) for name in chosen]


def _gain(
    name: str, words: Words, asked: Asked, base: Summary, catalog: Catalog, progress: Callable[[int, int], None] | None
) -> Gain:
    known = techniques()
    if name not in known:
        raise UnknownName("technique", name, (*known, ALL))
    if not _used(name, words, asked):
        raise InvalidQuestion(f"--without {name}: the question does not use it")
    entry = known[name]
    change = entry["without"]
    other = replace(
        asked,
        engine={**asked.engine, **change.get("engine", {})},
        contiguous=asked.contiguous or bool(change.get("contiguous")),
    )
    without = _summary(simulate_question(replace(words, **change.get("words", {})), other, catalog, progress)[0])
    source = package_data("claims.yaml")["sources"][entry["claim"]["source"]]
    return Gain(name, entry["title"], base, without, entry["claim"], source["title"])


def _used(name: str, words: Words, asked: Asked) -> bool:
    """Whether taking a technique away changes anything."""
    entry = techniques().get(name, {"without": {}})["without"]
    changed = any(getattr(words, word) != value for word, value in entry.get("words", {}).items())
    settings = any(asked.engine.get(key, True) != value for key, value in entry.get("engine", {}).items())
    return changed or settings or (bool(entry.get("contiguous")) and not asked.contiguous) or not entry


def _summary(result: SimulationResult) -> Summary:
    return result.steady() or result.summary()
