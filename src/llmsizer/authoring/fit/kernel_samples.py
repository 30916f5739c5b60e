"""Reader and writer of ``measurements/kernels_attention.yaml`` and ``measurements/kernels_collectives.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.authoring.fit.attention import CACHE_BYTES, FAMILIES, AttentionShape, decode_inputs, prefill_inputs
from llmsizer.authoring.fit.collectives import Fabric, collective_rows
from llmsizer.authoring.fit.devices import MeasuredDevice
from llmsizer.authoring.fit.rows import Rows, shape_numbers
from llmsizer.authoring.fit.scans import scan_rows, with_inputs
from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.quantities import parse_quantity

PREFILL_COLUMNS = ("sequences", "tokens", "keys", "heads", "head_width", "entries")
DECODE_COLUMNS = ("sequences", "keys", "rows", "groups", "head_width", "entries")
SCAN_COLUMNS = ("sequences", "tokens", "key_heads", "value_heads")
COLLECTIVE_COLUMNS = ("ranks", "message")
MICROSECOND = 1e-6
STATE_WIDTH, CONVOLUTION = 128.0, 4.0


def columns_of(kind: str) -> tuple[str, ...]:
    """What a row of some kind holds before its microseconds."""
    if kind.startswith("scan"):
        return SCAN_COLUMNS
    if kind in FAMILIES:
        return PREFILL_COLUMNS if kind.endswith("prefill") else DECODE_COLUMNS
    return COLLECTIVE_COLUMNS


def units_of(document: Mapping[str, Any], names: Sequence[str], catalog: Catalog | None = None) -> dict[str, float]:
    """Compute units of devices, from the file's own devices or the hardware catalog."""
    own, known = document["devices"], catalog or load_catalog()
    return {name: float(own[name]["units"] if name in own else known.accelerator(name).units or 1.0) for name in names}


def fabrics_of(document: Mapping[str, Any], names: Sequence[str], catalog: Catalog | None = None) -> dict[str, Fabric]:
    """The fabric of devices: the scale-up link, else the host bus."""
    own, known = document["devices"], catalog or load_catalog()
    found = {}
    for name in names:
        if name in own:
            found[name] = Fabric(name, own[name]["link"], parse_quantity(own[name]["link_bandwidth"], "byte/second"))
            continue
        device = known.accelerator(name)
        bandwidth = device.link_bandwidth if device.link else device.pcie_bandwidth
        assert bandwidth is not None, f"{name} has neither a link nor a host bus"
        found[name] = Fabric(name, device.link or "PCIe", float(bandwidth))
    return found


def kernel_rows(group: Mapping[str, Any], device: MeasuredDevice, units: float) -> Rows:
    """One group of attention or scan rows as rows of a fit."""
    import numpy as np

    *columns, microseconds = np.array(group["rows"], dtype=float).T
    table = dict(zip(columns_of(group["kind"]), columns, strict=True))
    seconds = microseconds * MICROSECOND
    if group["kind"].startswith("scan"):
        made = scan_rows(_scan_columns(table, seconds), device, group["backend"])
        return next(with_inputs(group["kind"], [made]))
    if group["kind"].endswith("prefill"):
        shape = AttentionShape(table["heads"], table["heads"], table["head_width"], 0.0, table["entries"])
        inputs = prefill_inputs(table["sequences"], table["tokens"], table["keys"], shape, device, units)
    else:
        groups = table["groups"]
        shape = AttentionShape(table["rows"] * groups, groups, table["head_width"], 0.0, table["entries"] * groups)
        inputs = decode_inputs(table["sequences"], table["keys"], shape, CACHE_BYTES[group["format"]], device, units)
    return Rows(
        device=device.id, architecture=device.architecture, backend=group["backend"], format=group["format"], peak_of="bf16",
        kernel="", inputs=inputs, seconds=seconds, shapes=shape_numbers(table["head_width"]),
    )  # fmt: skip


def _scan_columns(table: Mapping[str, Any], seconds: Any) -> dict[str, Any]:
    import numpy as np

    widths = np.full(len(seconds), STATE_WIDTH)
    return {
        "batch_size": table["sequences"], "seq_len": table["tokens"], "num_k_heads": table["key_heads"],
        "num_v_heads": table["value_heads"], "head_k_dim": widths, "head_v_dim": widths,
        "d_conv": np.full(len(seconds), CONVOLUTION), "seconds": seconds,
    }  # fmt: skip


def collective_group(group: Mapping[str, Any], fabric: Fabric) -> Rows:
    """One group of collectives as rows of a fit."""
    import numpy as np

    ranks, message, microseconds = np.array(group["rows"], dtype=float).T
    return collective_rows(group["kind"], fabric, group["backend"], ranks, message, microseconds * MICROSECOND)
