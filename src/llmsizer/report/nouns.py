"""Models and devices as people read them: facts with their sources, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.formats import cache_formats, number_formats, quantization_scheme
from llmsizer.core.explain import Provenance, Source, plain
from llmsizer.core.quantities import GIB, Unit, human
from llmsizer.formulas.roofline import ridge_point
from llmsizer.report.tables import Table
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import active_parameters, parameters_by_part, total_parameters
from llmsizer.sizing.model_cache import cache_by_kind
from llmsizer.sizing.weights import checkpoint_bytes

SIZES_SHOWN = ("bf16", "fp8", "awq-4bit-g128", "nvfp4", "Q8_0", "Q4_K_M")
HIDDEN_FIELDS = {"id", "name", "aliases", "notes", "unverified", "provenance", "peak_dense", "native_dtypes"}


class SourceList:
    """The sources of a page, numbered in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, provenance: Provenance, name: str) -> str:
        """The number of a fact's source; a letter says when it is not as a datasheet specifies."""
        source: Source = provenance.of(name)
        text = str(source) if source.tier == "specified" else f"{source.tier}: {source}"
        number = self.numbers.setdefault(text, len(self.numbers) + 1)
        return f"{number}" if source.tier == "specified" else f"{number} {source.tier}"

    def table(self) -> Table:
        """The numbered sources."""
        return Table("Sources", ["", "source"], [[str(number), text] for text, number in self.numbers.items()])


def model_row(model: Model) -> list[str]:
    """One line of the list of models."""
    total, active = float(plain(total_parameters(model))), float(plain(active_parameters(model)))
    share = f"{active / 1e9:,.1f} B" if active < 0.9 * total else ""
    length = f"{model.max_position_embeddings:,}" if model.max_position_embeddings else ""
    return [model.id, f"{total / 1e9:,.1f} B", share, model.native_quantization, length, model.model_type]


MODEL_HEADERS = ("model", "parameters", "active", "stored as", "positions", "family")


def model_facts(model: Model, sources: SourceList) -> Table:
    """The config of a model with the source of each fact."""
    rows = [[key, _shortened(value), sources.mark(model.provenance, key)] for key, value in model.config.items()]
    return Table("Facts (config.json)", ["field", "value", "source"], rows)


def _shortened(value: Any) -> str:
    text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def model_parts(model: Model) -> Table:
    """Parameters by part."""
    rows = [[p.part, f"{float(plain(p.total)):,.0f}", f"{float(plain(p.active)):,.0f}"] for p in parameters_by_part(model)]
    total, active = float(plain(total_parameters(model))), float(plain(active_parameters(model)))
    rows.append(["total (without multi-token prediction)", f"{total:,.0f}", f"{active:,.0f}"])
    return Table("Parameters", ["part", "total", "active per token"], rows, right=(1, 2))


def model_cache(model: Model) -> Table:
    """The cache of a model by kind of layer, in 16 bit, undivided."""
    rows = [
        [kind.name, f"{kind.layers:,}", human(kind.bytes_per_token, "byte/token") if kind.bytes_per_token else "",
         f"{kind.window:,}" if kind.window else "", human(kind.state_bytes, "byte") if kind.state_bytes else ""]
        for kind in cache_by_kind(model, cache_formats()["bf16"], number_formats()["bf16"])
    ]  # fmt: skip
    return Table(
        "KV cache (16 bit, all layers of a kind, one device)",
        ["layers", "count", "per token", "window [tokens]", "state per sequence"],
        rows,
        right=(1, 2, 3, 4),
    )


def model_sizes(model: Model) -> Table:
    """Checkpoint sizes in common formats."""
    native = number_formats()[model.torch_dtype]
    names = [model.native_quantization, *(name for name in SIZES_SHOWN if name != model.native_quantization)]
    rows = []
    for name in names:
        size = float(plain(checkpoint_bytes(model, quantization_scheme(name), native)))
        mark = " (as published)" if name == model.native_quantization else ""
        rows.append([name + mark, f"{size / 1e9:,.2f}", f"{size / GIB:,.2f}"])
    return Table("Weights", ["format", "GB", "GiB"], rows, right=(1, 2))


def device_row(device: Accelerator) -> list[str]:
    """One line of the list of devices."""
    peak = device.peak_dense.get("bf16") or device.peak_dense.get("fp16") or 0.0
    return [
        device.id, device.vendor, f"{float(device.usable_memory) / GIB:,.1f}", f"{float(device.memory_bandwidth) / 1e9:,.0f}",
        f"{float(peak) / 1e12:,.0f}" if peak else "", f"{float(device.board_power):,.0f}" if device.board_power else "",
    ]  # fmt: skip


DEVICE_HEADERS = ("device", "vendor", "usable GiB", "GB/s", "dense 16-bit TFLOP/s", "W")


def device_facts(device: Accelerator, sources: SourceList) -> Table:
    """The facts of a device with the source of each."""
    rows = []
    for item in fields(device):
        value = getattr(device, item.name)
        if item.name not in HIDDEN_FIELDS and value not in (None, "", (), False):
            rows.append([item.name, _fact(value, item.name), sources.mark(device.provenance, item.name)])
    return Table("Facts", ["field", "value", "source"], rows)


def _fact(value: Any, name: str) -> str:
    unit = _units(Accelerator).get(name, "1")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or unit == "1":
        return f"{value:g}" if isinstance(value, float) else str(value)
    return human(float(value), unit)


def _units(kind: type) -> dict[str, str]:
    from typing import get_type_hints

    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        marks = [
            m for h in (hint, *getattr(hint, "__args__", ())) for m in getattr(h, "__metadata__", ()) if isinstance(m, Unit)
        ]
        if marks:
            found[name] = marks[0].unit
    return found


def device_peaks(device: Accelerator, sources: SourceList) -> Table:
    """Dense peaks by type with ridge points."""
    rows = [_peak(device, dtype, float(peak), sources) for dtype, peak in device.peak_dense.items()]
    return Table("Dense peaks", ["type", "TFLOP/s", "ridge point [FLOP/byte]", "native", "source"], rows, right=(1, 2))


def _peak(device: Accelerator, dtype: str, peak: float, sources: SourceList) -> list[str]:
    ridge = plain(ridge_point(peak, device.memory_bandwidth))
    native = "yes" if dtype in device.native_dtypes or dtype.endswith("acc16") else ""
    return [dtype, f"{peak / 1e12:,.1f}", f"{ridge:,.0f}", native, sources.mark(device.provenance, f"peak_dense.{dtype}")]


def device_nodes(device: Accelerator, catalog: Catalog) -> Table:
    """The machines of the catalog that hold a device."""
    rows = [
        [node.id, str(node.accelerators), f"{float(node.host_memory) / GIB:,.0f}" if node.host_memory else "",
         f"{float(node.network_bandwidth) * 8 / 1e9:,.0f}" if node.network_bandwidth else "", node.network]
        for node in catalog.nodes_of(device.id)
    ]  # fmt: skip
    return Table("Machines", ["id", "devices", "host GiB", "network Gbit/s", "network"], rows, right=(1, 2, 3))


def matching(names: Iterator[str] | list[str], text: str) -> list[str]:
    """The names that contain a text, in any case; the nearest names when none does."""
    from llmsizer.core.errors import nearest

    known = list(names)
    found = [name for name in known if text.lower() in name.lower()]
    return found or nearest(text, known, count=10)
