"""Sets a log's figures beside the estimate of the same deployment, line by line, with likely causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.results import Result
from llmsizer.doctor.asking import Asked, question_of_log
from llmsizer.doctor.cache_causes import split_not_modelled
from llmsizer.doctor.causes import cause_of
from llmsizer.doctor.evidence import Evidence, estimate_of
from llmsizer.doctor.figures import TITLES, Estimated, estimated_figures, logged_figures
from llmsizer.doctor.logs import UnreadableLog
from llmsizer.doctor.reading import NO_ROOM, OUT_OF_MEMORY, STARTED, TAKEN, TOO_LONG, LogReading
from llmsizer.question.ask import question_of
from llmsizer.question.resolve import Resolved


@dataclass(frozen=True, slots=True)
class Row:
    """One ``figure`` (in words: ``title``): what the ``log`` prints and what the ``estimate`` says, in ``unit``
    (``byte``, ``token``, ``byte/token`` or ``1``); ``estimate`` None: not modelled. ``agrees``: within what logs scatter
    by; ``cause`` is empty where they do."""

    figure: str
    title: str
    unit: str
    log: float
    estimate: float | None
    agrees: bool | None
    cause: str

    @property
    def difference(self) -> float | None:
        """Estimate less log."""
        return None if self.estimate is None else self.estimate - self.log

    @property
    def percent(self) -> float | None:
        """The difference in percent of the log's figure; None where that is zero."""
        return None if self.difference is None or not self.log else 100 * self.difference / abs(self.log)

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "figure": self.figure, "title": self.title, "unit": self.unit, "log": self.log, "estimate": self.estimate,
            "difference": self.difference, "difference_percent": self.percent, "agrees": self.agrees, "cause": self.cause,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Diagnosis(Result):
    """A log beside its estimate. ``question`` is what was estimated, every word resolved; ``origins``
    says where each came from (``log``, ``given``, ``assumed``, else the engine's default);
    ``started`` whether the engine started with that memory (None: the log does not show it). ``reading``: what the log
    says. ``rows``: figure by figure, both sides. ``fits`` and ``reasons``: the estimate's verdict. ``notes``: what to know
    besides.
    """

    reading: LogReading
    question: Mapping[str, Any]
    origins: Mapping[str, str]
    rows: tuple[Row, ...]
    started: bool | None
    fits: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every figure that both have agrees, and the verdict too."""
        figures = all(row.agrees is not False for row in self.rows)
        return figures and (self.started is None or self.started == self.fits)

    def row(self, figure: str) -> Row | None:
        """The row of one figure, if the log has it."""
        return next((row for row in self.rows if row.figure == figure), None)

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as plain data, ready for JSON."""
        return {
            "log": self.reading.to_dict(),
            "question": dict(self.question),
            "origins": dict(self.origins),
            "rows": [row.to_dict() for row in self.rows],
            "outcome": {"log": self.reading.outcome, "started": self.started, "fits": self.fits, "reasons": list(self.reasons)},
            "agrees": self.agrees,
            "notes": list(self.notes),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a figure."""
        return [row.to_dict() for row in self.rows]

    def __repr__(self) -> str:
        differing = sum(row.agrees is False for row in self.rows)
        what = f"{self.question['model_id']} on {self.question['hardware_id']}"
        return f"<Diagnosis {what}: {differing} of {len(self.rows)} figures differ>"


def diagnose(reading: LogReading, catalog: Catalog | None = None, **given: Any) -> Diagnosis:
    """Estimates the deployment a log shows and compares figure by figure.

    ``given`` are words of a question (``model``, ``hardware``, ``engine``, ``quantization``,
    ``tensor_parallel_size`` …, as for ``llmsizer.estimate``); they win over what the log says, None
    means not given. Raises an LlmsizerError that names the flag to add when the log leaves the model
    or the device open, and UnreadableLog when it holds no memory figure.
    """
    if not reading.has_figures:
        raise _without_figures(reading)
    catalog = catalog if catalog is not None else load_catalog()
    asked = question_of_log(reading, given, catalog)
    estimated = estimate_of(asked, reading, catalog)
    logged = logged_figures(reading, estimated.case)
    if not logged:
        raise _without_figures(reading)
    evidence = Evidence(reading, asked, catalog, estimated, logged, estimated_figures(reading, estimated))
    started = _started(reading)
    question = question_of(Resolved(estimated.case, asked.words, ()))
    return Diagnosis(
        reading=reading,
        question={name: value for name, value in question.items() if name not in _NOT_OF_LOGS},
        origins=dict(asked.origins),
        rows=tuple(_row(evidence, name) for name in TITLES if name in logged),
        started=started,
        fits=estimated.memory.fits,
        reasons=estimated.memory.reasons,
        notes=(*reading.notes, *asked.notes, *_verdict_notes(reading, asked, estimated, started)),
    )


def _without_figures(reading: LogReading) -> UnreadableLog:
    return UnreadableLog(
        f"the {reading.engine} log holds no memory figure",
        "It may be cut off before the engine measured its memory, or be too quiet: use the usual log level.",
    )


# Words of a question that a start-up log does not answer.
_NOT_OF_LOGS = ("input_tokens", "output_tokens", "concurrency", "request_rate")


def _row(evidence: Evidence, name: str) -> Row:
    title, unit = TITLES[name]
    log = evidence.logged[name]
    if name not in evidence.figures:
        return Row(name, title, unit, log, None, None, split_not_modelled(evidence, name) or "not estimated")
    return Row(name, title, unit, log, evidence.figures[name], evidence.agrees(name), cause_of(evidence, name))


def _started(reading: LogReading) -> bool | None:
    if reading.outcome == STARTED:
        return True
    return False if reading.outcome in {NO_ROOM, TOO_LONG, OUT_OF_MEMORY} else None


def _verdict_notes(reading: LogReading, asked: Asked, estimated: Estimated, started: bool | None) -> list[str]:
    """What to say about a start that ended otherwise than the estimate expects."""
    notes = []
    if reading.outcome == TAKEN:
        notes.append("the start failed because others held the card's memory: free it or lower the memory fraction")
    if started is True and not estimated.memory.fits:
        notes.append(f"the engine started, but the estimate says it does not fit: {'; '.join(estimated.memory.reasons)}")
    if started is False and estimated.memory.fits:
        notes.append("the start failed for lack of memory, but the estimate says it fits: see the largest difference above")
    return notes
