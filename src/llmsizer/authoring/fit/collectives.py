"""Fit of collectives: measured times to ``calibrations/collectives.yaml``, by kind and fabric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.attention import newest_tables
from llmsizer.authoring.fit.attention_files import SOURCE, with_head
from llmsizer.authoring.fit.least_squares import Parameter, relative_errors, summary
from llmsizer.authoring.fit.pooling import Curve, Fitter
from llmsizer.authoring.fit.rows import Rows, joined, shape_numbers
from llmsizer.authoring.fit.tables import KernelTable, read_tables
from llmsizer.authoring.fit.writing import calibration_yaml
from llmsizer.formulas.communication import collective_seconds

EQUATION = collective_seconds.function

LATENCIES = (
    Parameter("latency_seconds", 5e-6, 5e-7, 3e-4),
    Parameter("rank_seconds", 1e-6, 1e-9, 1e-4),
    Parameter("bulk_seconds", 5e-6, 1e-9, 1e-3),
    Parameter("bulk_bytes", 1e6, 1e3, 1e9),
    Parameter("bandwidth_fraction", 0.7, 0.02, 0.98),
)
COPIES = Parameter("copies", 0.3, 1e-3, 1.0)
CONTENTION = Parameter("contention", 0.5, 1e-3, 3.0)

# How often a rank sends the rest of the buffer: a ring all-reduce first scatters sums, then gathers them.
PASSES = {"all_reduce": 2.0, "all_reduce_nccl": 2.0, "all_reduce_eager": 2.0, "point_to_point": 2.0}
NCCL_KINDS = {
    "all_reduce": "all_reduce_nccl", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter", "alltoall": "all_to_all",
}  # fmt: skip
ELEMENT_BYTES = {"half": 2.0, "bfloat16": 2.0, "int8": 1.0}
KINDS = ("all_reduce_nccl", "all_reduce", "all_reduce_eager", "all_gather", "reduce_scatter", "all_to_all", "point_to_point")
AXES = ("message", "ranks")
PUBLIC_SOURCES = (
    {"title": "stas00/ml-engineering, network chapters", "date": "2026-08", "note": "all-reduce of MI300X and of four nodes"},
)
SWITCHED = "NVLink"
HOST_BUS = "PCIe"
# Where many ranks get less than this share of the bus bandwidth of two, the host leads their traffic through its
# memory (a virtual machine without peer-to-peer access): a property of that host, not of its devices. Served runs on
# the same devices (rows fit, TensorRT-LLM 0.14 on L40S) reach ten times as much.
LEAST_SHARE_OF_TWO = 1 / 3
# A finer curve is kept when it takes the median or the 90th percentile of the error to this share.
WORTHWHILE = 0.85


@dataclass(frozen=True, slots=True)
class Fabric:
    """The scale-up fabric of a measured device and its one-way bandwidth per device."""

    device: str
    link: str
    bandwidth: float


def passes_of(kind: str) -> float:
    """How often a rank sends the rest of the buffer in a collective of some kind."""
    return PASSES.get(kind, 1.0)


def parameters_of(kind: str, link: str) -> tuple[tuple[Parameter, ...], dict[str, float]]:
    """What is fitted for a kind on a fabric, and what is fixed: only switches reduce, only a host bus is shared."""
    free, fixed = list(LATENCIES), {"passes": passes_of(kind)}
    reduces = link.startswith(SWITCHED) and kind.startswith("all_reduce")
    for wanted, parameter in ((reduces, COPIES), (link == HOST_BUS, CONTENTION)):
        if wanted:
            free.append(parameter)
        else:
            fixed[parameter.name] = 0.0
    if kind == "point_to_point":
        fixed |= {"rank_seconds": 0.0, "contention": 0.0}
    return tuple(one for one in free if one.name not in fixed), fixed


def collective_rows(kind: str, fabric: Fabric, backend: str, ranks: Any, message: Any, seconds: Any) -> Rows:
    """Measured collectives of one kind on one device; rows faster than the link are left out."""
    import numpy as np

    count, size, time = (np.asarray(one, dtype=float) for one in (ranks, message, seconds))
    inputs = {"message": size, "ranks": count, "bandwidth": np.full(len(size), fabric.bandwidth)}
    least = (1.0 if passes_of(kind) == 2.0 else (count - 1.0) / count) * size / fabric.bandwidth
    made = Rows(
        device=fabric.device, architecture=fabric.link, backend=backend, format=kind, peak_of="", kernel="", inputs=inputs,
        seconds=time, shapes=shape_numbers(np.log2(size).astype(int)),
    )  # fmt: skip
    made = made.where(time > least)
    return made.where(direct_rows(made)) if fabric.link == HOST_BUS and len(made) else made


def direct_rows(rows: Rows) -> Any:
    """Which rows are of so many ranks as the host lets reach each other without a detour."""
    import numpy as np

    ranks, size = rows.inputs["ranks"], rows.inputs["message"]
    speed = rows.inputs["message"] * (ranks - 1.0) / ranks / rows.seconds
    best = {count: float(speed[(ranks == count) & (size == size[ranks == count].max())].mean()) for count in np.unique(ranks)}
    two = best.get(2.0, 0.0)
    return np.array([best[count] >= LEAST_SHARE_OF_TWO * two for count in ranks])


def read_rows(source: Path | None, fabrics: Mapping[str, Fabric]) -> list[Rows]:
    """The collectives of the published tables: plain NCCL or oneCCL, and the engines' own all-reduce."""
    found = list(_library_rows(newest_tables(read_collectives(source, "nccl")), fabrics))
    found += _library_rows(newest_tables(read_collectives(source, "oneccl")), fabrics)
    return found + list(_engine_rows(newest_tables(read_tables(source, "comm", "custom_allreduce_perf.parquet")), fabrics))


def read_collectives(source: Path | None, library: str) -> Iterator[KernelTable]:
    """Tables of a collectives library, which stands where the engine's name stands otherwise."""
    return read_tables(source, "comm", f"{library}_perf.parquet", {library: library})


def _library_rows(tables: Iterable[KernelTable], fabrics: Mapping[str, Fabric]) -> Iterator[Rows]:
    import numpy as np

    for table in tables:
        for name, kind in NCCL_KINDS.items():
            columns = table.where(table.columns["op_name"] == name).columns
            if not len(columns["latency"]):
                continue
            each = np.array([ELEMENT_BYTES[str(dtype)] for dtype in columns["nccl_dtype"]])
            message, seconds = columns["message_size"] * each, columns["latency"] * 1e-3
            yield collective_rows(kind, fabrics[table.device], table.backend, columns["num_gpus"], message, seconds)


def _engine_rows(tables: Iterable[KernelTable], fabrics: Mapping[str, Fabric]) -> Iterator[Rows]:
    import numpy as np

    for table in tables:
        eager = np.array(["eager" in str(name) for name in table.columns["kernel_source"]])
        for kind, mask in (("all_reduce", ~eager), ("all_reduce_eager", eager)):
            if mask.any():
                columns = table.where(mask).columns
                message, seconds = columns["message_size"] * ELEMENT_BYTES["bfloat16"], columns["latency"] * 1e-3
                yield collective_rows(kind, fabrics[table.device], table.backend, columns["num_gpus"], message, seconds)


def point_to_point(rows: Sequence[Rows]) -> list[Rows]:
    """Transfers between two ranks, from an all-to-all between two: each sends the other half of its buffer."""
    import numpy as np

    found = []
    for part in rows:
        pair = part.where(part.inputs["ranks"] == 2.0)
        if part.format == "all_to_all" and len(pair):
            half = {**pair.inputs, "message": pair.inputs["message"] / 2.0}
            found.append(Rows(
                device=pair.device, architecture=pair.architecture, backend=pair.backend, format="point_to_point", peak_of="",
                kernel="", inputs=half, seconds=pair.seconds, shapes=shape_numbers(np.log2(half["message"]).astype(int)),
            ))  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class KindFitter:
    """Fits the collectives of one kind on one fabric."""

    kind: str
    link: str

    def curve(self, parts: Sequence[Rows], device: str | None = None, backend: str | None = None) -> Curve:
        """The curve of some rows, with the errors on left-out sizes and devices."""
        free, fixed = parameters_of(self.kind, self.link)
        fitter = _Fixed(EQUATION, free, fixed)
        values = fitter.fit(parts)
        return Curve(
            architecture=self.link, device=device, format=self.kind, backend=backend, peak_of=None, parameters=values,
            parts=tuple(parts), error=fitter.errors(parts, values), shapes_left_out=fitter.shapes_left_out(parts),
            device_left_out=None if device else fitter.device_left_out(parts),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fixed(Fitter):
    """A fitter with some parameters that are not fitted."""

    held: Mapping[str, float]

    def fit(self, parts: Sequence[Rows], fixed: Mapping[str, float] | None = None) -> dict[str, float]:
        return Fitter(self.equation, self.parameters).fit(parts, {**self.held, **(fixed or {})})


def fitted_curves(rows: Sequence[Rows]) -> tuple[list[Curve], list[Curve]]:
    """Curves per fabric and kind with finer ones per engine or device, and generic ones per kind."""
    parts = [*rows, *point_to_point(rows)]
    found: list[Curve] = []
    for kind, link in sorted({(part.format, part.architecture) for part in parts}):
        own = [part for part in parts if (part.format, part.architecture) == (kind, link)]
        found += _fabric_curves(KindFitter(kind, link), own)
    switched = [part for part in parts if part.pooled and part.architecture.startswith(SWITCHED)]
    generic = [
        replace(KindFitter(kind, SWITCHED).curve([part for part in switched if part.format == kind]), architecture=None)
        for kind in sorted({part.format for part in switched})
    ]
    return found, generic


def _fabric_curves(fitter: KindFitter, parts: Sequence[Rows]) -> list[Curve]:
    whole = fitter.curve([part for part in parts if part.pooled])
    found = [whole]
    for field in ("backend", "device"):
        names = sorted({getattr(part, field) for part in parts})
        for name in names if len(names) > 1 else []:
            own = [part for part in parts if getattr(part, field) == name and (part.pooled or field == "backend")]
            if _shows_contention(fitter, own):
                found += _finer(fitter.curve(own, **{field: name}), whole, own)
    return found


def _shows_contention(fitter: KindFitter, rows: Sequence[Rows]) -> bool:
    """Whether rows tell how ranks slow each other, where they do: two ranks alone do not."""
    return fitter.link != HOST_BUS or fitter.kind == "point_to_point" or len(set(joined(rows)[0]["ranks"].tolist())) > 1


def _finer(curve: Curve, whole: Curve, own: Sequence[Rows]) -> list[Curve]:
    coarse = summary(relative_errors(EQUATION, *joined(own), whole.parameters))
    unseen = curve.shapes_left_out or curve.error
    return [curve] if unseen.median <= WORTHWHILE * coarse.median or unseen.p90 <= WORTHWHILE * coarse.p90 else []


def collectives_text(rows: Sequence[Rows], public: Sequence[str], date: str) -> str:
    """The calibration file of collectives; ``public`` are texts of curves from single published figures."""
    found, generic = fitted_curves(rows)
    heading = "Fitted by llmsizer.authoring.fit; formula llmsizer.formulas.communication.collective_seconds.\n"
    heading += "fabric is the link of the hardware catalog, fractions are of its one-way bandwidth per device.\n"
    heading += "all_reduce: the engine's own kernels, in graphs; all_reduce_nccl and all_reduce_eager: without either.\n"
    heading += "Curves without a fabric are pooled over NVLink: an assumption for every fabric not measured."
    text = _spelt(calibration_yaml("collectives", found, [SOURCE, *PUBLIC_SOURCES], date, AXES, heading))
    last = _spelt(calibration_yaml("collectives", generic, [], date, AXES, "")).split("\ncurves:\n", 1)[1]
    return (
        with_head(text, {kind: ideal_parameters(kind) for kind in sorted(KINDS)}, {}) + "".join(map(_indented, public)) + last
    )


def ideal_parameters(kind: str) -> dict[str, float]:
    """The parameters at which a collective moves its traffic at the link's bandwidth, reduced by the switch."""
    zeros = dict.fromkeys(("latency_seconds", "rank_seconds", "bulk_seconds", "contention"), 0.0)
    return zeros | {"bulk_bytes": 1.0, "bandwidth_fraction": 1.0, "passes": passes_of(kind), "copies": 1.0}


def _indented(text: str) -> str:
    return "".join(f"  {line}" for line in text.splitlines(keepends=True))


def _spelt(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("    peak_of:")]
    return "".join(line.replace("  - architecture:", "  - fabric:").replace("    format:", "    kind:") for line in lines)
