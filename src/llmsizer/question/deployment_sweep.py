"""One deployment under a grid of loads: the memory once for each length, the speed as arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.core.numerics import where
from llmsizer.question.ask import memory_interval, most_in_flight, speed_tier
from llmsizer.question.limits import concurrency_of
from llmsizer.question.resolve import resolve
from llmsizer.question.words import LARGEST_LENGTH, Words, checked_fraction, checked_integer
from llmsizer.schema.deployment import Case
from llmsizer.sizing.estimate import MEMORY_FIGURES, WAITED_PERCENTILES, as_plain, memory_evidence
from llmsizer.sizing.memory import MemoryEstimate, held_at, memory_estimate
from llmsizer.sizing.prefix_cache import with_hits
from llmsizer.sizing.speed import Latency, Throughput, latency, steady_state, throughput, waiting_sequences, working_ranks
from llmsizer.sizing.step_time import StepClock, largest_share, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[Any]

LENGTHS = ("input_tokens", "output_tokens")
LOAD_WORDS = ("concurrency", "request_rate", *LENGTHS, "prefix_cache_hit_rate")
WHOLE = frozenset({"concurrency", *LENGTHS})
CHUNK = 16_384
TEXTS = ("reason", "prefill.bound", "decode.bound", "evidence.tier")


def checked_load(name: str, value: Any) -> float:
    """A load word's value as a number; NaN stands for as many requests as fit. InvalidQuestion otherwise."""
    if name == "concurrency":
        return math.nan if value == "max" else float(concurrency_of(Words(model="", hardware="", concurrency=value)) or 0)
    if name == "request_rate":
        return checked_fraction(name, value, least=1e-9, most=1e6)
    return checked_fraction(name, value) if name not in LENGTHS else float(checked_integer(name, value, most=LARGEST_LENGTH))


class DeploymentSweep:
    """A question whose load words are columns; all other words are fixed."""

    def __init__(self, words: Words, loads: Mapping[str, Column], points: int, catalog: Catalog) -> None:
        self.words, self.loads, self.points, self.catalog = words, loads, points, catalog
        self.notes: tuple[str, ...] = ()
        self.found: dict[str, Any] = {}

    def columns(self, progress: Callable[[int], None]) -> dict[str, Any]:
        """Every figure of every point. Raises what refuses the deployment altogether."""
        self.found, done = dict(self.loads), 0
        for place, case in self._cases():
            for chunk in _chunks(place):
                for name, value in self._answer(case, chunk).items():
                    self._put(name, chunk, value)
                done += len(chunk)
                progress(done)
        return _whole_numbers(self.found)

    def refused(self, reason: str) -> dict[str, Any]:
        """The columns of a deployment that cannot be."""
        return _whole_numbers({"fits": False, "reason": reason, **self.loads})

    def _put(self, name: str, place: Column, value: Any) -> None:
        import numpy as np

        if name not in self.found:
            kind, empty = (object, None) if name in TEXTS else (bool, False) if name == "fits" else (float, math.nan)
            self.found[name] = np.full(self.points, empty, dtype=kind)
        self.found[name][place] = value

    def _cases(self) -> Iterator[tuple[Column, Case]]:
        """The points with the case that they share but for their load."""
        import numpy as np

        lowest = {name: float(np.nanmin(column)) for name, column in self.loads.items() if not np.isnan(column).all()}
        resolved = resolve(self._words_at(lowest), self.catalog)
        self.notes = resolved.notes
        if self._changes_load_only(resolved.case):
            yield np.arange(self.points), resolved.case
            return
        names = [name for name in (*LENGTHS, "concurrency") if name in self.loads]
        table = np.stack([self.loads[name] for name in names], axis=1) if names else np.zeros((self.points, 1))
        different, which = np.unique(table, axis=0, return_inverse=True, equal_nan=True)
        for number, row in enumerate(different):
            place = np.flatnonzero(which.reshape(-1) == number)
            values = {name: each for name, each in zip(names, row.tolist(), strict=False) if not math.isnan(each)}
            try:
                yield place, resolve(self._words_at({**lowest, **values}), self.catalog).case
            except (InvalidQuestion, UnsupportedCombination) as refusal:
                self._put("fits", place, value=False)
                self._put("reason", place, refusal.message)

    def _words_at(self, values: Mapping[str, float]) -> Words:
        changes: dict[str, Any] = {name: int(each) if name in WHOLE else each for name, each in values.items()}
        return replace(self.words, **changes)

    def _changes_load_only(self, case: Case) -> bool:
        """Whether neither the engine's limits nor defaults depend on the load words that vary."""
        bounded = self.words.max_model_len is not None or case.model.max_position_embeddings is not None
        both = all(name in self.loads or getattr(self.words, name) is not None for name in LENGTHS)
        varies = any(name in self.loads for name in LENGTHS)
        return case.engine.kv_layout == "paged" and (not varies or (bounded and both))

    def _answer(self, case: Case, place: Column) -> dict[str, Any]:
        """The figures of some points of one case: arrays, or numbers that all of them share."""
        load = {name: _at(column, place) for name, column in self.loads.items()}
        lengths = {name: load[name] for name in (*LENGTHS, "prefix_cache_hit_rate") if name in load}
        asked = replace(case, workload=replace(case.workload, **lengths))
        memory, fits = self._memory(case, asked)
        figures = memory_columns(memory) | {"fits": fits, "reason": self._reason(asked, memory, fits)}
        asked = self._with_load(asked, memory, load)
        if "concurrency" in load:
            figures["concurrency"] = asked.concurrency
        evidence = memory_evidence(case, memory_interval(case, memory))
        figures["evidence.tier"] = evidence.tier
        if self.words.ignore_memory or _any(fits):
            shown = fits if not self.words.ignore_memory else True
            figures |= {name: _where(shown, value) for name, value in speed_columns(asked, memory).items()}
            figures["evidence.tier"] = _where(shown, speed_tier(case, evidence)[0], evidence.tier)
        return figures

    def _memory(self, case: Case, asked: Case) -> tuple[MemoryEstimate, Any]:
        """The memory of the case at the lengths asked for, and which fit."""
        import numpy as np

        memory = memory_estimate(case)
        work = asked.workload
        if not any(isinstance(each, np.ndarray) for each in (work.input_tokens, work.output_tokens)):
            return memory, memory.fits
        pairs = np.stack(np.broadcast_arrays(work.input_tokens, work.output_tokens), axis=1)
        different, which = np.unique(pairs, axis=0, return_inverse=True)
        distinct = replace(work, input_tokens=different[:, 0], output_tokens=different[:, 1])
        held = held_at(replace(asked, workload=distinct), memory.stage)
        fits = np.broadcast_to(held.fits, len(different)) & (different.sum(axis=1) <= float(case.max_model_len))
        spread: dict[str, Any] = {
            name: np.broadcast_to(plain(getattr(held, name)), len(different))[which.reshape(-1)]
            for name in ("kv_slots", "max_concurrency_at_workload", "running_sequences")
        }
        return replace(memory, **spread), fits[which.reshape(-1)]

    def _reason(self, asked: Case, memory: MemoryEstimate, fits: Any) -> Any:
        reason = "; ".join(memory.reasons) or "the request's length does not fit"
        long = asked.workload.input_tokens + asked.workload.output_tokens > asked.max_model_len
        refused = f"the request exceeds the length of {asked.max_model_len:,} tokens"
        return _where(fits, None, _where(long, refused, reason))

    def _with_load(self, asked: Case, memory: MemoryEstimate, load: Mapping[str, Any]) -> Case:
        import numpy as np

        concurrency = math.nan if self.words.concurrency == "max" else load.get("concurrency", asked.concurrency)
        if concurrency is not None:
            concurrency = _where(np.isnan(concurrency), most_in_flight(asked, memory), concurrency)
        return replace(asked, concurrency=concurrency, request_rate=load.get("request_rate", asked.request_rate))


def memory_columns(memory: MemoryEstimate) -> dict[str, Any]:
    """The memory's figures by their path in an estimate."""
    import numpy as np

    found = {f"memory.per_gpu.{name}": value for name, value in as_plain(memory.per_gpu).items()}
    for name in MEMORY_FIGURES:
        value = plain(getattr(memory, name))
        found[f"memory.{name}"] = np.trunc(value) if name.endswith(("tokens", "slots")) else value
    return found


def speed_columns(case: Case, memory: MemoryEstimate) -> dict[str, Any]:
    """The speed's figures by their path in an estimate, of a case whose load may be arrays."""
    case, clock = with_hits(case, memory), StepClock(case)
    steady = steady_state(case, memory, clock)
    ranks = working_ranks(case, steady)
    times, rates = latency(case, clock, steady), throughput(case, steady.rate, ranks)
    waiting = waiting_sequences(case, steady, ranks)
    found: dict[str, Any] = {f"latency.{name}": getattr(times, name) for name in Latency.__dataclass_fields__}
    for name in (name for name in Latency.__dataclass_fields__ if name.startswith(WAITED_PERCENTILES)):
        found[f"latency.{name}"] = where(waiting == math.inf, math.inf, found[f"latency.{name}"])
    found |= {f"throughput.{name}": getattr(rates, name) for name in Throughput.__dataclass_fields__}
    found |= {"load.running": steady.running * ranks, "load.waiting": waiting,
              "load.decode_batch": steady.moment.batch,
              "load.prefix_cache_hit_rate": plain(case.workload.prefix_cache_hit_rate)}  # fmt: skip
    for name, step in (("prefill", steady.moment.prompt_step), ("decode", steady.moment.pure_step)):
        cost = clock.stage_cost(step)
        found |= {f"{name}.step_seconds": cost.seconds, f"{name}.bound": largest_share(shares(cost))}
    return found


def _chunks(place: Column) -> list[Column]:
    """The places in pieces of about the same size, so that none is small: every piece costs the same calls."""
    import numpy as np

    return np.array_split(place, max(round(len(place) / CHUNK), 1))


def _at(column: Column, place: Column) -> Any:
    """The entries of a column; a number where there is one."""
    return column[place] if len(place) > 1 else float(column[place[0]])


def _where(condition: Any, yes: Any, no: Any = math.nan) -> Any:
    """Either of two things, by an array of conditions or one; texts that do not hold are None."""
    import numpy as np

    if _is_text(yes) and isinstance(no, float):
        no = None
    if isinstance(condition, (bool, np.bool_)):
        return yes if condition else no
    if not (_is_text(yes) or _is_text(no)):
        return np.where(condition, yes, no)
    found = np.empty(condition.shape, dtype=object)
    found[:] = no
    found[condition] = yes[condition] if getattr(yes, "shape", ()) else yes
    return found


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str) or getattr(getattr(value, "dtype", None), "kind", "") == "O"


def _any(mask: Any) -> bool:
    return bool(mask if isinstance(mask, bool) else mask.any())


def _whole_numbers(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with counts as integers, where all of them are."""
    import numpy as np

    counts = [name for name in WHOLE & set(columns) if not np.isnan(columns[name]).any()]
    return columns | {name: columns[name].astype(np.int64) for name in counts}
