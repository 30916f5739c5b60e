"""Reader of measured products in the project's own file, ``measurements/kernels_matmul.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.devices import MeasuredDevice, device_named
from llmsizer.authoring.fit.experts import expert_rows
from llmsizer.authoring.fit.matmul import matmul_rows
from llmsizer.authoring.fit.rows import Rows
from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.yaml import load_file

MATMUL_COLUMNS = ("m", "n", "k")
EXPERT_COLUMNS = ("assignments", "experts_touched", "hidden_size", "intermediate_size", "matrices")
MICROSECOND = 1e-6


def read_measured(path: Path) -> Mapping[str, Any]:
    """The file's data: ``sources``, ``devices`` that the hardware catalog lacks, ``groups`` of rows."""
    found: Mapping[str, Any] = load_file(path).data
    return found


def measured_devices(
    document: Mapping[str, Any], catalog: Catalog | None = None, names: Iterable[str] = ()
) -> dict[str, MeasuredDevice]:
    """The devices of the file and some others by name, from the hardware catalog or the file itself."""
    known = catalog or load_catalog()
    wanted = {group["device"] for group in document["groups"]} | set(names)
    found = {name: device_named(name, known, document["devices"]) for name in sorted(wanted)}
    return {name: replace(device, least_rows=_least_rows(document, device.architecture)) for name, device in found.items()}


def _least_rows(document: Mapping[str, Any], architecture: str) -> dict[str, float]:
    """Rows of the smallest tile of an architecture's matrix units by format, as far as the file states them."""
    stated = (row for row in document.get("least_rows", ()) if row["architecture"] == architecture)
    return {name: float(row["rows"]) for row in stated for name in row["formats"]}


def measured_rows(document: Mapping[str, Any], kind: str, use: str, devices: Mapping[str, MeasuredDevice]) -> list[Rows]:
    """The groups of one kind (``matmul``, ``experts``) and use (``sample``, ``public``) as rows of a fit."""
    groups = [group for group in document["groups"] if group["kind"] == kind and group["use"] == use]
    return [made for made in (_rows_of(group, devices[group["device"]]) for group in groups) if len(made)]


def _rows_of(group: Mapping[str, Any], device: MeasuredDevice) -> Rows:
    import numpy as np

    *columns, microseconds = np.array(group["rows"], dtype=float).T
    seconds = microseconds * MICROSECOND
    if group["kind"] == "matmul":
        m, n, k = columns
        return matmul_rows(m, n, k, seconds, group["format"], device, group["backend"])
    assignments, touched, hidden, intermediate, matrices = columns
    shapes = (assignments, touched, hidden, intermediate, matrices)
    return expert_rows(shapes, seconds, group["format"], device, group["backend"])
