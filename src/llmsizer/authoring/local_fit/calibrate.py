"""From measured records and benchmark files to the calibration of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.spread import interval
from llmsizer.authoring.local_fit.kernels import kernel_curves
from llmsizer.authoring.local_fit.steps import Fitted, Sample, StepFit, used_curves
from llmsizer.authoring.measure.timing import round_significant
from llmsizer.catalog.calibrations import calibration_of
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.local_calibrations import KIND, LocalCalibration, calibration_in, has_own_kernels
from llmsizer.core.errors import CatalogError, InvalidQuestion, LlmsizerError
from llmsizer.core.explain import Source
from llmsizer.validation.benchmark_files import read_benchmarks
from llmsizer.validation.benchmark_runs import compare_run
from llmsizer.validation.run_files import is_run, read_run
from llmsizer.validation.run_rows import recorded_runs

# Fewer comparisons than this set no interval of their own.
FEWEST_FOR_SPREAD = 5


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A calibration file's content, and the errors that it leaves: by a fit without the group of each row."""

    document: dict[str, Any]
    samples: tuple[Sample, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out: tuple[float, ...]

    def groups(self) -> Iterator[tuple[str, list[float], list[float], list[float]]]:
        """The errors by engine, device and latency: before, after, left out."""
        names = [f"{s.case.engine.id} on {s.case.accelerator.id}, {s.quantity}" for s in self.samples]
        for name in dict.fromkeys(names):
            places = [place for place, each in enumerate(names) if each == name]
            sets = ([logs[place] for place in places] for logs in (self.before, self.after, self.left_out))
            yield (name, *sets)  # type: ignore[misc]


def calibrate(paths: Sequence[str | Path], given: Mapping[str, Any], catalog: Catalog) -> Calibrated:
    """Fits everything that some files tell of one or more devices. Raises InvalidQuestion where they tell nothing."""
    records = [(str(path), read_run(path)) for path in paths if is_run(path)]
    curves = [curve for _, record in records for curve in _kernels(record, catalog)]
    samples = [sample for name, record in records for sample in _record_samples(name, record, catalog)]
    samples += [sample for path in paths if not is_run(path) for sample in _benchmark_samples(path, given, catalog)]
    if not samples and not curves:
        raise InvalidQuestion("the files hold nothing to fit", "a record needs its device in the catalog, and rows or ceilings")
    document: dict[str, Any] = {
        "calibration": KIND, "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "sources": [{"title": f"measured: {Path(path).name}"} for path in paths], "curves": curves, "engines": [], "spread": [],
    }  # fmt: skip
    parts = [_fit_group(group, document, curves) for group in _grouped(samples)]
    return Calibrated(
        document, tuple(sample for part in parts for sample in part.samples), *(
            tuple(value for part in parts for value in getattr(part, name)) for name in ("before", "after", "left_out")
        ),
    )  # fmt: skip


def _kernels(record: Mapping[str, Any], catalog: Catalog) -> list[dict[str, Any]]:
    if not record["ceilings"] or record.get("hardware") is None:
        return []
    return [_rounded(curve) for curve in kernel_curves(record["ceilings"], catalog.accelerator(str(record["hardware"])))]


def _record_samples(name: str, record: Mapping[str, Any], catalog: Catalog) -> list[Sample]:
    if record.get("hardware") is None:
        raise LlmsizerError(f"{name}: the record names no device of the catalog", "`llmsizer hardware probe` makes an entry")
    return [
        Sample(row.estimate.case, row.estimate.memory, row.latency, float(row.row["seconds"]))
        for run in recorded_runs(record, catalog, name)
        for row in run.timed()
    ]


def _benchmark_samples(path: str | Path, given: Mapping[str, Any], catalog: Catalog) -> list[Sample]:
    """The latencies of a benchmark tool's file."""
    found = []
    for run in read_benchmarks(path):
        compared = compare_run(run, given, catalog)
        estimate = compared.estimate
        for metric in compared.metrics:
            if metric.metric in {"ttft_seconds", "tpot_seconds"}:
                latency = metric.metric.partition("_")[0]
                found.append(Sample(estimate.case, estimate.memory, latency, metric.measured))
    if not found:
        raise CatalogError("has no TTFT or TPOT to fit", file=str(path))
    return found


def _grouped(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Samples of one device and engine together."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.case.accelerator.id, sample.case.engine.id), []).append(sample)
    return list(groups.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    samples: list[Sample]
    before: list[float]
    after: list[float]
    left_out: list[float]


def _fit_group(samples: list[Sample], document: dict[str, Any], curves: Sequence[Mapping[str, Any]]) -> _Part:
    """Fits one engine on one device, and adds what comes out to the document."""
    case = samples[0].case
    device, engine = case.accelerator, case.engine
    mine = () if has_own_kernels(engine.id) else tuple(curve for curve in curves if curve["device"] == device.id)
    local = LocalCalibration(Source("ceilings of this machine"), mine, (), ())
    built_in = calibration_of("auto", device, engine.id)
    known = calibration_in(local, "fitted", device, engine.id, built_in.find)
    fit = StepFit(samples, known.find, {curve["format"] for curve in mine if curve["family"] == "matmul"})
    fitted, left_out = fit.fit(), fit.left_out()
    document["engines"].append(_figures(fitted, device.id, engine.id))
    document["curves"] += _scaled_curves(fit, fitted, engine.id)
    # How far an estimate of a model that nobody measured is off, one model cannot tell: the built-in widths stay.
    if len(fit.models) > 1:
        document["spread"] += _spread(samples, left_out, device.id, engine.id)
    before = [sample.logarithm(engine, built_in) for sample in samples]
    after = fit.logarithms(fitted, samples).tolist()
    return _Part(samples, before, after, left_out)


def _figures(fitted: Fitted, device: str, engine: str) -> dict[str, Any]:
    values = {name: value for name, value in fitted.values.items() if hasattr(fitted.engine, name)}
    return {"device": device, "engine": engine, **{name: round_significant(value, 4) for name, value in values.items()}}


def _scaled_curves(fit: StepFit, fitted: Fitted, engine: str) -> list[dict[str, Any]]:
    """The curves that the fit changed, as this engine's on this device."""
    used = {(curve.family, curve.format) for sample in fit.samples for curve in used_curves(sample)}
    found = []
    for family, format_ in sorted(used):
        before, after = fit.find(family, format_), fitted.curves(family, format_)
        if before is None or after is None or dict(before.parameters) == dict(after.parameters):
            continue
        found.append(_rounded({
            "family": family, "device": fit.device, "engine": engine, "format": format_, "peak_of": after.peak_of,
            "parameters": dict(after.parameters), "rows": len(fit.samples),
        }))  # fmt: skip
    return found


def _spread(samples: Sequence[Sample], left_out: Sequence[float], device: str, engine: str) -> list[dict[str, Any]]:
    """The 80 % intervals of what was left out of the fit."""
    found = []
    for quantity in ("tpot", "ttft"):
        logs = [-log for sample, log in zip(samples, left_out, strict=True) if sample.quantity == quantity]
        if len(logs) >= FEWEST_FOR_SPREAD:
            low, high = interval(logs)
            found.append({"device": device, "engine": engine, "quantity": quantity, "low": low, "high": high, "n": len(logs)})
    return found


def _rounded(curve: dict[str, Any]) -> dict[str, Any]:
    return curve | {"parameters": {name: round_significant(float(value), 4) for name, value in curve["parameters"].items()}}


def calibration_text(document: Mapping[str, Any]) -> str:
    """A calibration as YAML."""
    import yaml

    body = yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=None, width=200, allow_unicode=True)
    return f"# {KIND}: written by `llmsizer fit`; use it with --calibration FILE\n{body}"
