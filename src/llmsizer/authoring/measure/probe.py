"""A catalog entry for a device from its measured ceilings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.authoring.measure.timing import round_significant
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import InvalidQuestion
from llmsizer.schema.accelerator import Accelerator

SOURCE = "probe"
# The largest rates of products and copies stand for the peaks: with a device's own curves fitted to the
# same run, what matters is that both refer to one another.
NOTE = "peaks and bandwidth are the best rates measured on the device itself, not a vendor's figures"


def device_entry(record: Mapping[str, Any], name: str | None, catalog: Catalog) -> tuple[str, dict[str, Any]]:
    """The id and the fields of a device from a record with ceilings. Raises InvalidQuestion where these lack."""
    environment, rows = record["environment"], [row for row in record["ceilings"] if "seconds" in row]
    products = {row["dtype"] for row in rows if row["kind"] == "matmul"}
    if not products or not any(row["kind"] == "copy" for row in rows):
        raise InvalidQuestion("the record has no ceilings of products and copies", "measure without --no-ceilings")
    alike = _of_capability(environment.get("compute_capability"), catalog)
    is_cuda, memory = environment["kind"] == "cuda", float(environment["memory_bytes"])
    entry: dict[str, Any] = {
        "name": environment["device"] + ("" if is_cuda else _threads(int(environment["threads"]))),
        "vendor": _vendor(environment),
        "architecture": "cpu" if not is_cuda else alike.architecture if alike else "unknown",
        "memory_type": alike.memory_type if alike else "DDR" if not is_cuda else "unknown",
        "memory_capacity": f"{memory:.0f} B",
        "usable_memory": f"{memory * (1.0 if is_cuda else 0.95):.0f} B",
        "unified_memory": not is_cuda,
        "memory_bandwidth": f"{round_significant(best_bandwidth(rows), 4) / 1e9:g} GB/s",
        "peak_dense": {dtype: f"{round_significant(best_rate(rows, dtype), 4) / 1e12:g} TFLOP/s" for dtype in sorted(products)},
        "native_dtypes": sorted(products),
        "units": int(environment.get("units") or environment.get("threads") or 1),
    }
    if is_cuda and environment.get("compute_capability"):
        entry["compute_capability"] = str(environment["compute_capability"])
    entry |= {"notes": NOTE, "source": SOURCE}
    return name or _slug(entry["name"]), entry


def _threads(count: int) -> str:
    return f", {count} thread{'s' if count > 1 else ''}"


def best_rate(rows: Sequence[Mapping[str, Any]], dtype: str) -> float:
    """The highest rate of a matrix product in a type, in FLOP per second."""
    products = [row for row in rows if row["kind"] == "matmul" and row["dtype"] == dtype]
    return max(2.0 * float(row["m"] * row["n"] * row["k"]) / float(row["least"]) for row in products)


def best_bandwidth(rows: Sequence[Mapping[str, Any]]) -> float:
    """The highest rate at which bytes come from memory: of copies (read and written) beyond the caches, and of
    products of one row, which read their weights."""
    copies = [row for row in rows if row["kind"] == "copy"]
    largest = max(row["bytes"] for row in copies)
    rates = [2.0 * float(row["bytes"]) / float(row["least"]) for row in copies if row["bytes"] == largest]
    width = {"bf16": 2, "fp16": 2, "fp32": 4}
    rates += [
        float(row["n"] * row["k"]) * width[row["dtype"]] / float(row["least"])
        for row in rows
        if row["kind"] == "matmul" and row["m"] == 1 and row["dtype"] in width
    ]
    return max(rates)


def entry_text(name: str, entry: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """A catalog file with one device, to be given with --catalog."""
    import yaml

    environment = record["environment"]
    title = f"llmsizer measure with torch {environment['torch']} on {environment['system']}"
    data = {
        "sources": {SOURCE: {"title": title, "date": environment["date"], "tier": "measured"}},
        "accelerators": {name: dict(entry)},
    }
    return "# Written by `llmsizer hardware probe`.\n" + yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)


def _of_capability(capability: str | None, catalog: Catalog) -> Accelerator | None:
    """A catalogued device of the same compute capability: its kernels are this device's."""
    if capability is None:
        return None
    devices = (catalog.accelerator(name) for name in catalog.names("accelerators"))
    return next((device for device in devices if device.compute_capability == str(capability)), None)


def _vendor(environment: Mapping[str, Any]) -> str:
    name = str(environment["device"]).lower()
    if environment["kind"] == "cuda":
        return "AMD" if "ROCm" in str(environment.get("cuda")) else "NVIDIA"
    for vendor in ("Intel", "AMD", "Apple"):
        if vendor.lower() in name:
            return vendor
    return "AMD" if "epyc" in name or "ryzen" in name else "Arm"


def _slug(name: str) -> str:
    plain = re.sub(r"\((?:r|tm)\)", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
