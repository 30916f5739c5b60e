"""Tries each technique on a deployment and tells what it would change, or why it would change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.techniques import Technique, techniques
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.results import Result
from llmsizer.planner.advice import formats, hardware, serving
from llmsizer.planner.advice.asked import FUNCTIONS, Asked, Change
from llmsizer.planner.advice.figures import BENEFITS, Figures, benefit, figures_of, judged
from llmsizer.planner.sensitivity import Effect as Moved
from llmsizer.planner.sensitivity import effects as moved
from llmsizer.question.ask import ask
from llmsizer.question.words import Words, checked_choice
from llmsizer.sizing.estimate import Estimate

FAMILIES = (formats, serving, hardware)
# Effects below this share are no effect.
NOTICEABLE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """What a ``technique`` does here: its best ``change``, the ``figures`` with it, and the ``benefit``, the factor by
    which the figure sorted by gets better (None: not known)."""

    technique: Technique
    change: Change
    figures: Figures
    benefit: float | None

    def to_dict(self, before: Figures) -> dict[str, Any]:
        """The effect as plain data, with each figure as a multiple of what it was."""
        old, new = before.to_dict(), self.figures.to_dict()
        ratios = {name: new[name] / old[name] if old[name] and new[name] is not None else None for name in new}
        return {
            **described(self.technique), "change": self.change.flags, "figures": new, "ratios": ratios,
            "benefit": self.benefit, "note": self.change.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Idle:
    """A ``technique`` that does nothing here, and the ``reason``."""

    technique: Technique
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The technique and the reason as plain data."""
        return {**described(self.technique), "reason": self.reason}


@dataclass(frozen=True, slots=True, eq=False)
class Advice(Result):
    """A deployment (``estimate``, with its ``figures``) and what would change it.

    ``effects``: what each technique does, best first ``by`` a figure. ``idle``: techniques that do nothing here, and why.
    ``sensitivities``: how far an input that is off moves the figures.
    """

    estimate: Estimate
    figures: Figures
    by: str
    effects: tuple[Effect, ...]
    idle: tuple[Idle, ...]
    sensitivities: tuple[Moved, ...]

    def to_dict(self) -> dict[str, Any]:
        """The advice as plain data: SI base units, the unit in the key."""
        return {
            "question": dict(self.estimate.question), "fits": self.estimate.fits, "reasons": list(self.estimate.reasons),
            "figures": self.figures.to_dict(), "sorted_by": self.by,
            "techniques": [each.to_dict(self.figures) for each in self.effects],
            "nothing_to_gain": [each.to_dict() for each in self.idle],
            "sensitivities": [each.to_dict() for each in self.sensitivities],
        }  # fmt: skip

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a technique: what it changes each figure by (a multiple), or why it does nothing."""
        rows = []
        for effect in self.effects:
            made = effect.to_dict(self.figures)
            rows.append(_row(made, effect.technique) | made["ratios"])
        blank: dict[str, Any] = dict.fromkeys(self.figures.to_dict())
        return rows + [_row(each.to_dict(), each.technique) | blank for each in self.idle]

    def __repr__(self) -> str:
        case = self.estimate.case
        best = f", best {self.effects[0].technique.id}" if self.effects else ""
        count = f"{len(self.effects)} of {len(self.effects) + len(self.idle)}"
        return f"<Advice {case.model.id} on {case.accelerator.id}: {count} techniques help, by {self.by}{best}>"


def _row(made: Mapping[str, Any], technique: Technique) -> dict[str, Any]:
    return {
        "technique": technique.id, "change": made.get("change"), "benefit": made.get("benefit"), "effort": technique.effort,
        "quality": technique.quality, "reason": made.get("reason"),
    }  # fmt: skip


def described(technique: Technique) -> dict[str, Any]:
    """A technique's own facts as plain data."""
    source = technique.source
    told = None if source is None else {"title": source.title, "date": source.date, "url": technique.url}
    return {
        "technique": technique.id, "title": technique.title, "group": technique.group, "effort": technique.effort,
        "quality": technique.quality, "assumed": technique.assumed or None, "source": told,
    }  # fmt: skip


def advise(words: Words, catalog: Catalog | None = None, by: str | None = None) -> Advice:
    """What each technique of the checklist would do to the deployment of a question.

    ``by``: the figure to sort by (``cost``, ``ttft``, ``tpot``, ``throughput`` of a device, ``memory``); None:
    the cost where a price is known, else the throughput. Raises an LlmsizerError for a mistake in the question.
    """
    chosen = catalog if catalog is not None else load_catalog()
    if by is not None:
        checked_choice("--by", by, list(BENEFITS))
    estimate = ask(words, chosen)
    before = figures_of(estimate)
    sort = by or ("cost" if before.usd_per_request is not None or not estimate.fits else "throughput")
    tried = [_tried(Asked(words, estimate, chosen, each), before, sort) for each in techniques().values()]
    effects = sorted((each for each in tried if isinstance(each, Effect)), key=lambda each: _order(each, sort))
    idle = [each for each in tried if isinstance(each, Idle)]
    found = tuple(sensitivities(words, estimate)) if estimate.speed is not None else ()
    return Advice(estimate, before, sort, tuple(effects), tuple(idle), found)


def sensitivities(words: Words, estimate: Estimate) -> list[Moved]:
    """What the figures of a deployment hang on: the inputs of its case, and its price."""
    hourly = estimate.cost.to_dict()["usd_per_hour"] if estimate.cost is not None else None
    now = judged(estimate.case, words, hourly)

    def priced(factor: float) -> dict[str, float]:
        return {name: value * (factor if name == "usd_per_request" else 1.0) for name, value in now.items()}

    return moved(estimate.case, lambda case: judged(case, words, hourly), {} if hourly is None else {"price": priced})


def _tried(asked: Asked, before: Figures, by: str) -> Effect | Idle:
    found = FUNCTIONS[asked.technique.id](asked)
    if isinstance(found, str):
        return Idle(asked.technique, found)
    refusals: list[str] = []
    effects = list(_effects(asked, found, before, by, refusals))
    if not effects:
        return Idle(asked.technique, refusals[0] if refusals else "there is nothing to change")
    best = min(effects, key=lambda each: _order(each, by))
    if not _is_noticeable(before.to_dict(), best.figures.to_dict()):
        return Idle(asked.technique, f"changes nothing here: {_bounds(asked.estimate)}")
    return best


def _effects(asked: Asked, changes: Any, before: Figures, by: str, refusals: list[str]) -> Iterator[Effect]:
    for change in changes:
        try:
            estimate = ask(change.words, asked.catalog)
            if not estimate.fits:
                refusals.append(_misfit(asked.estimate, change, estimate))
                continue
            after = figures_of(estimate, change.replicas, change.reached)
        except LlmsizerError as refusal:
            refusals.append(refusal.message)
            continue
        noted = replace(change, note="; ".join(filter(None, (change.note, _guesses(asked.estimate, estimate)))))
        yield Effect(asked.technique, noted, after, benefit(before, after, by))


def _guesses(before: Estimate, after: Estimate) -> str:
    """What a change that brings guesses rests on, and up to which batch it pays."""
    found = after.speculation
    if found is None or before.case.draft is not None:
        return ""
    told = [note for note in after.notes if note.startswith("guesses: ")]
    return "; ".join([*told, found.reach])


def _misfit(before: Estimate, change: Change, after: Estimate) -> str:
    return f"{change.flags} does not fit: {after.reasons[0]}" if before.fits else f"it still does not fit with {change.flags}"


def _order(effect: Effect, by: str) -> tuple[float, float, str]:
    """Best first: by the factor that it gains, or (nothing to compare with) by the figure itself; then by E2E."""
    read, more = BENEFITS[by]
    value = read(effect.figures)
    plain = float("inf") if value is None else -value if more else value
    gain = -effect.benefit if effect.benefit is not None else plain
    return (gain, effect.figures.e2e_seconds or float("inf"), effect.technique.id)


def _is_noticeable(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return any(
        (old[name] is None) != (new[name] is None) or (old[name] and abs(new[name] / old[name] - 1) >= NOTICEABLE)
        for name in old
    )


def _bounds(estimate: Estimate) -> str:
    if estimate.speed is None:
        return "the deployment still does not fit"
    prefill, decode = estimate.speed.prefill.bound, estimate.speed.decode.bound
    return f"prefill is bound by {prefill}, decoding by {decode}"
