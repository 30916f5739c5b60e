"""Validated catalog entries as plain records, and nouns made from them.

A record holds an entry's validated data in base units with its sources; records are what the
compiled form stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.explain import Provenance, Source
from llmsizer.core.quantities import quantity_of
from llmsizer.schema.accelerator import Accelerator, Node, Processor

PRICE_SECTIONS = ("prices", "purchase_prices", "cost_assumptions")
SECTIONS = ("accelerators", "cpus", "nodes", "models", *PRICE_SECTIONS)
NOUNS: dict[str, type] = {"accelerators": Accelerator, "cpus": Processor, "nodes": Node}


@dataclass(frozen=True, slots=True)
class Record:
    """One validated entry: ``data`` as plain values, the entry's sources, and where it stands."""

    data: Mapping[str, Any]
    sources: tuple[Any, Mapping[str, Any]]
    file: str
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names of the entry."""
        return tuple(self.data.get("aliases") or ())

    def provenance(self) -> Provenance:
        """The sources as nouns carry them."""
        default, found = self.sources
        return Provenance(Source(*default), {name: Source(*source) for name, source in found.items()})


def noun_of(section: str, name: str, found: Record) -> Any:
    """The noun of a record (models excepted, which are built from their config)."""
    data = {key: tuple(value) if isinstance(value, list) else value for key, value in found.data.items()}
    return NOUNS[section](id=name, provenance=found.provenance(), **data)


def accelerator_of_processor(processor: Processor, size: str) -> Accelerator:
    """A host processor as a device: its memory must be given (``name@256GiB``)."""
    if not size:
        raise InvalidQuestion(
            f"'{processor.id}' is a processor: say how much memory it has", f"for example: {processor.id}@256GiB"
        )
    memory = quantity_of(f"'{processor.id}@{size}'", size, "byte")
    peaks = {
        dtype: float(processor.cores * processor.base_clock * operations)
        for dtype, operations in processor.operations_per_clock_per_core.items()
    }
    return Accelerator(
        id=f"{processor.id}@{size}", name=processor.name, vendor=processor.vendor, architecture="cpu",
        memory_type="DDR", memory_capacity=memory, usable_memory=memory * 0.95, unified_memory=True,
        memory_bandwidth=processor.memory_bandwidth, peak_dense=peaks, native_dtypes=tuple(peaks),
        unit_kind="core", units=processor.cores, board_power=processor.board_power, year=processor.year, notes=processor.notes,
        provenance=replace(processor.provenance, fields={
            **processor.provenance.fields, "peak_dense": Source("cores × base clock × operations per clock", tier="assumed"),
        }),
    )  # fmt: skip
