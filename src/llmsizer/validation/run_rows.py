"""Recorded runs of ``llmsizer measure`` against the estimates of the same work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.sizing import front_end
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.validation.measurements import measurement_file
from llmsizer.validation.run_files import measured_part, read_run
from llmsizer.validation.statistics import ErrorRow

Fields: TypeAlias = Mapping[str, Any]
RUNS = "runs"
DEVICES_ENDING, CALIBRATION_ENDING = ".catalog.yaml", ".calibration.yaml"


def run_memory_errors(catalog: Catalog | None = None) -> list[ErrorRow]:
    """Errors of the bytes of all recorded runs."""
    return [error for error in _shipped(catalog) if error.quantity in MEMORY]


def run_speed_errors(catalog: Catalog | None = None) -> list[ErrorRow]:
    """Errors of the times of all recorded runs."""
    return [error for error in _shipped(catalog) if error.quantity not in MEMORY]


def _shipped(catalog: Catalog | None) -> Iterator[ErrorRow]:
    nouns = with_measured_devices(catalog if catalog is not None else load_catalog())
    for path in recorded_files():
        yield from run_errors(read_run(path), nouns, path.stem)


def recorded_files() -> list[Path]:
    """The records that ship with llmsizer."""
    files = sorted(measurement_file(RUNS).glob("*.yaml"))
    return [path for path in files if not path.name.endswith((DEVICES_ENDING, CALIBRATION_ENDING))]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The times of one record's rows that set nothing: with the built-in curves, and with those fitted to the
    device's other rows."""

    name: str
    record: Mapping[str, Any]
    before: tuple[ErrorRow, ...]
    after: tuple[ErrorRow, ...]


def shipped_before_after(catalog: Catalog | None = None) -> Iterator[BeforeAfter]:
    """Every record whose device has a calibration beside it."""
    nouns = with_measured_devices(catalog if catalog is not None else load_catalog())
    for path in recorded_files():
        record = read_run(path)
        fitted = path.with_name(f"{record.get('hardware')}{CALIBRATION_ENDING}")
        if record.get("role") != "fit" and fitted.exists():
            sets = (run_errors(record, nouns, path.stem, name) for name in ("auto", str(fitted)))
            before, after = (tuple(row for row in rows if row.quantity not in MEMORY) for rows in sets)
            yield BeforeAfter(path.stem, record, before, after)


def with_measured_devices(catalog: Catalog) -> Catalog:
    """The catalog with the devices of recorded runs that it lacks laid under it."""
    from llmsizer.catalog.validation import overlay

    records = catalog.records
    for path in sorted(measurement_file(RUNS).glob(f"*{DEVICES_ENDING}")):
        records = overlay(records, path)
    return Catalog(records, catalog.overlays)


def run_errors(record: Mapping[str, Any], catalog: Catalog, name: str, calibration: str = "auto") -> list[ErrorRow]:
    """Every comparison that a record allows. Raises LlmsizerError where its device or a model is not known."""
    if record.get("hardware") is None:
        raise LlmsizerError(
            f"{name}: the catalog has no device for '{record['environment'].get('device')}'",
            "`llmsizer hardware probe` makes an entry; then name it with --gpu",
        )
    return [error for run in recorded_runs(record, catalog, name, calibration) for error in run.errors()]


def recorded_runs(record: Mapping[str, Any], catalog: Catalog, name: str, calibration: str = "auto") -> list[RecordedRun]:
    """The runs of a record."""
    return [RecordedRun(record, run, catalog, name, calibration) for run in record["models"]]


MEMORY = ("measured weights", "measured KV cache", "measured activation peak")


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One measured time beside its estimate: ``latency`` is ``ttft`` (prompts) or ``tpot`` (decode steps)."""

    latency: str
    length: int
    row: Mapping[str, Any]
    estimate: Estimate

    @property
    def seconds(self) -> float:
        """The estimated seconds of the step itself, without an engine's front end."""
        assert self.estimate.latency is not None
        if self.latency == "tpot":
            return float(plain(self.estimate.latency.tpot_seconds))
        return float(plain(self.estimate.latency.ttft_seconds)) - float(plain(front_end.alone(self.estimate.case)))

    @property
    def inside(self) -> bool | None:
        """Whether the measured time lies in the estimate's interval."""
        interval: tuple[float, float] | None = getattr(self.estimate.evidence, f"{self.latency}_interval_seconds")
        return None if interval is None else interval[0] <= self.row["seconds"] <= interval[1]


class RecordedRun:
    """The run of one model on one device."""

    def __init__(self, record: Fields, run: Fields, catalog: Catalog, name: str, calibration: str) -> None:
        self.record, self.run, self.catalog, self.name, self.calibration = record, run, catalog, name, calibration
        self.is_torch = record["engine"] == "torch"
        whole = catalog.model(str(run["model"]))
        self.model = measured_part(whole, int(run["layers"])) if self.is_torch else whole

    def errors(self) -> Iterator[ErrorRow]:
        """All comparisons of the run."""
        yield from self._memory()
        for each in self.timed():
            quantity = self._timed("prefill" if each.latency == "ttft" else "decode", each.row)
            yield self._error(quantity, each.length, each.row, each.seconds, each.row["seconds"], each.inside)

    def timed(self) -> Iterator[TimedRow]:
        """Every measured time beside its estimate."""
        for row in self.run.get("prefill") or ():
            if "seconds" in row:
                yield TimedRow(
                    "ttft", row["length"], row, self.estimate(row["batch"], row["length"], 1, bool(row.get("eager")))
                )
        for row in self.run.get("decode") or ():
            if "seconds" in row:
                estimate = self.estimate(row["batch"], row["context"], 2, bool(row.get("eager")))
                yield TimedRow("tpot", row["context"], row, estimate)

    def _memory(self) -> Iterator[ErrorRow]:
        rows = self.run.get("memory") or ()
        for index, row in enumerate(rows):
            memory = self.held(row["batch"], row["length"])
            per_gpu = memory.per_gpu
            known = {"measured KV cache": "kv_bytes", "measured activation peak": "activation_bytes"}
            ours = {"kv_bytes": per_gpu.kv_cache_bytes, "activation_bytes": per_gpu.activation_bytes}
            if index == 0 and self.run.get("weights_bytes"):
                weights = float(plain(per_gpu.weights_bytes))
                # A processor has but one memory, whatever an engine would leave on the host of a device.
                weights += 0.0 if self.is_torch else float(plain(memory.host_weights_bytes))
                yield self._error(MEMORY[0], 0, {"batch": 0}, weights, float(self.run["weights_bytes"]), None)
            for quantity, key in known.items():
                if row.get(key):
                    yield self._error(quantity, row["length"], row, float(plain(ours[key])), float(row[key]), None)

    def _timed(self, phase: str, row: Mapping[str, Any]) -> str:
        how = " without graphs" if row.get("eager") and self.record["environment"].get("kind") == "cuda" else ""
        return f"measured {phase}, {self.record['engine']}{how}"

    def held(self, batch: int, length: int) -> MemoryEstimate:
        """The memory of sequences that have room for so many tokens, and process as many at once."""
        return self._ask(batch, max(length - 1, 1), 1, False, batch * length).memory

    def estimate(self, batch: int, length: int, output_tokens: int, eager: bool) -> Estimate:
        """The estimate of some sequences of some length: of their prompts, or of one further token."""
        prompt = length if output_tokens == 1 else max(length - 1, 1)
        return self._ask(batch, prompt, output_tokens, eager, batch * length if output_tokens == 1 else None)

    def _ask(self, batch: int, prompt: int, output_tokens: int, eager: bool, at_once: int | None) -> Estimate:
        engine, version = self.record["engine"], self.record.get("engine_version")
        words = Words(
            model=self.model, hardware=str(self.record["hardware"]), engine=f"{engine}@{version}" if version else engine,
            dtype=self.run.get("dtype", "auto"), quantization=self.run.get("quantization"), enforce_eager=bool(eager),
            input_tokens=prompt, output_tokens=output_tokens, concurrency=batch, batching="static", max_num_seqs=batch,
            max_model_len=prompt + output_tokens, ignore_memory=True, calibration=self.calibration,
            max_num_batched_tokens=at_once if self.is_torch else None,
        )  # fmt: skip
        return ask(words, self.catalog)

    def _error(self, quantity: str, length: int, row: Mapping[str, Any], estimate: float, measured: float,
               inside: bool | None) -> ErrorRow:  # fmt: skip
        model = str(self.run["model"]).rpartition("/")[2]
        scheme = self.run.get("quantization") or self.run.get("dtype")
        label = f"{self.name}: {model} {scheme}" + (f" {row['batch']}×{length}" if length else "")
        group = f"{self.record['engine']} {model} {self.record['hardware']}"
        return ErrorRow(quantity, label, group, self.role(row), estimate, measured, estimate / measured - 1, inside=inside,
                        engine=str(self.record["engine"]), hardware=str(self.record["hardware"]))  # fmt: skip

    def role(self, row: Mapping[str, Any]) -> str:
        """What a row was used for: its own word, or the record's."""
        return str(row.get("role") or self.run.get("role") or self.record.get("role") or "validate")
