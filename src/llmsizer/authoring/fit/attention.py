"""Fit of attention kernels: measured times to ``calibrations/attention_*.yaml`` and ``latent_*.yaml``.

A row is one layer's attention on one device. Decode rows are kept only where the cache cannot have
stayed in the L2 cache between repetitions: in an engine every layer's cache comes from memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.authoring.fit.devices import MeasuredDevice
from llmsizer.authoring.fit.least_squares import Parameter
from llmsizer.authoring.fit.rows import Rows, shape_numbers
from llmsizer.authoring.fit.tables import KernelTable, version_order
from llmsizer.formulas.attention import (
    attention_decode_seconds,
    attention_flop,
    attention_prefill_seconds,
    cache_read_bytes,
    query_output_bytes,
    windowed_pairs,
)

PREFILL_PARAMETERS = (
    Parameter("launch_seconds", 8e-6, 5e-7, 3e-4),
    Parameter("compute_fraction", 0.6, 0.02, 0.98),
    Parameter("memory_fraction", 0.7, 0.1, 0.98),
    Parameter("softmax_width", 20.0, 0.01, 500.0),
    Parameter("pad_keys", 64.0, 0.01, 1000.0),
    Parameter("tail_rows", 60.0, 0.01, 1000.0),
    Parameter("item_seconds", 1e-7, 1e-10, 1e-4),
    Parameter("overlap", 0.2, 1e-3, 1.0),
)
DECODE_PARAMETERS = (
    Parameter("launch_seconds", 8e-6, 5e-7, 3e-4),
    Parameter("compute_fraction", 0.5, 0.01, 0.98),
    Parameter("memory_fraction", 0.85, 0.1, 0.98),
    Parameter("item_seconds", 2e-6, 1e-9, 1e-4),
    Parameter("pad_rows", 8.0, 0.01, 256.0),
    Parameter("pad_keys", 30.0, 0.01, 1000.0),
    Parameter("tail_keys", 100.0, 0.01, 20000.0),
    Parameter("splits", 64.0, 1.0, 1e4),
    Parameter("overlap", 0.2, 1e-3, 1.0),
)
PREFILL_AXES = ("sequences", "tokens", "heads", "head_width")
DECODE_AXES = ("sequences", "keys", "rows", "groups", "head_width")
PREFILL_EQUATION = attention_prefill_seconds.function
DECODE_EQUATION = attention_decode_seconds.function

# No window: longer than any context.
UNBOUNDED = 1e12
VALUE_BYTES = 2.0
CACHE_BYTES = {"bf16": 2.0, "fp8": 1.0}
# Head sizes and sharing of the models served; kernels of other shapes are rare fallbacks.
HEAD_SIZES = (64, 128, 256)
MOST_QUERIES_PER_GROUP = 16
FEWEST_TOKENS = 16
# A decode row is cold when its cache is this many times the L2 cache, or its reading takes less
# than this share of the time.
CACHE_OVER_L2, WARM_SHARE = 2.0, 0.15
# A head size that reaches less than this share of the best size's rate runs a fallback kernel.
FALLBACK_RATE = 0.5
# Kernels whose prefill tables time the absorbed form, which engines use in decode only.
ABSORBED_PREFILL = ("flash_attention", "triton")
# Where more than this share of a table's decode rows beats memory though the cache cannot stay in
# L2, the table did not measure what it says.
IMPOSSIBLE_SHARE = 0.02

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Heads of a kernel; each field a number or a column: keys and values per cached head, widths."""

    heads: Any
    groups: Any
    key_width: Any
    value_width: Any
    entries: Any


def prefill_inputs(
    sequences: Any, tokens: Any, window: Any, shape: AttentionShape, device: MeasuredDevice, units: float
) -> Columns:
    """The arguments of ``attention_prefill_seconds`` for prompts without cached context."""
    import numpy as np

    keys = np.minimum(tokens, window)
    moved = query_output_bytes.function(sequences * tokens, shape.heads, shape.key_width, shape.value_width, VALUE_BYTES)
    moved = moved + cache_read_bytes.function(sequences, keys, shape.entries, VALUE_BYTES)
    columns = {
        "sequences": sequences, "tokens": tokens, "keys": keys, "pairs": windowed_pairs.function(tokens, 0.0, window),
        "heads": shape.heads, "head_width": shape.key_width + shape.value_width, "moved_bytes": moved,
    }  # fmt: skip
    return _with_device(columns, device, units)


def decode_inputs(
    sequences: Any, keys: Any, shape: AttentionShape, cache_bytes: float, device: MeasuredDevice, units: float
) -> Columns:
    """The arguments of ``attention_decode_seconds`` for one new token per sequence."""
    moved = query_output_bytes.function(sequences, shape.heads, shape.key_width, shape.value_width, VALUE_BYTES)
    moved = moved + cache_read_bytes.function(sequences, keys, shape.entries, cache_bytes)
    columns = {
        "sequences": sequences, "keys": keys, "rows": shape.heads / shape.groups, "groups": shape.groups,
        "head_width": shape.key_width + shape.value_width, "token_bytes": shape.entries / shape.groups * cache_bytes,
        "moved_bytes": moved,
    }  # fmt: skip
    return _with_device(columns, device, units)


def _with_device(columns: Columns, device: MeasuredDevice, units: float) -> Columns:
    import numpy as np

    length = len(columns["sequences"])
    facts = {"units": units, "peak": device.peak("bf16")[1], "memory_bandwidth": device.memory_bandwidth}
    return {name: np.broadcast_to(np.asarray(one, dtype=float), length) for name, one in {**columns, **facts}.items()}


def grouped_shape(columns: Columns) -> AttentionShape:
    """The shape of grouped-query attention from a published table's columns."""
    groups, width = columns["num_key_value_heads"].astype(float), columns["head_dim"].astype(float)
    return AttentionShape(columns["num_heads"].astype(float), groups, width, width, 2.0 * groups * width)


def expanded_shape(columns: Columns) -> AttentionShape:
    """DeepSeek's heads in prefill: keys of 192, values of 128 elements, one group per head."""
    heads = columns["num_heads"].astype(float)
    return AttentionShape(heads, heads, 192.0, 128.0, heads * 320.0)


def absorbed_shape(columns: Columns) -> AttentionShape:
    """DeepSeek's heads in decode: all share one latent of 512 and a rotary key of 64 elements."""
    return AttentionShape(columns["num_heads"].astype(float), 1.0, 576.0, 512.0, 576.0)


def prefill_rows(device: MeasuredDevice, units: float, backend: str, format_name: str, columns: Columns,
                 shape: AttentionShape) -> Rows:  # fmt: skip
    """Prefill rows of a table that are physically possible."""
    sequences, tokens = columns["batch_size"].astype(float), columns["isl"].astype(float)
    inputs = prefill_inputs(sequences, tokens, window_of(columns), shape, device, units)
    seconds = columns["latency"].astype(float) * 1e-3
    flop = attention_flop.function(sequences * inputs["pairs"], inputs["heads"], inputs["head_width"], 0.0)
    possible = (seconds > flop / _highest_peak(device, format_name)) & (
        seconds > inputs["moved_bytes"] / inputs["memory_bandwidth"]
    )
    rows = _rows(device, backend, format_name, inputs, seconds, inputs["heads"], shape.entries, inputs["head_width"])
    rate = flop / seconds
    return rows.where(possible & (tokens >= FEWEST_TOKENS) & _same_kernel(rate, inputs["head_width"]))


def _same_kernel(rate: Any, head_width: Any) -> Any:
    """Which rows have a head size whose best rate is not far below that of the other sizes."""
    import numpy as np

    best = {width: np.quantile(rate[head_width == width], 0.95) for width in np.unique(head_width)}
    limit = FALLBACK_RATE * max(best.values())
    return np.isin(head_width, [width for width, fastest in best.items() if fastest >= limit])


def decode_rows(device: MeasuredDevice, units: float, backend: str, format_name: str, columns: Columns,
                shape: AttentionShape) -> Rows:  # fmt: skip
    """Decode rows of a table that read a cold cache and are physically possible; none when the table cannot be true."""
    import numpy as np

    sequences, keys = columns["batch_size"].astype(float), columns["step"].astype(float) + 1.0
    keys = np.minimum(keys, window_of(columns))
    inputs = decode_inputs(sequences, keys, shape, CACHE_BYTES[format_name], device, units)
    seconds = columns["latency"].astype(float) * 1e-3
    cache = cache_read_bytes.function(sequences, keys, shape.entries, CACHE_BYTES[format_name])
    reading = inputs["moved_bytes"] / inputs["memory_bandwidth"]
    large: Any = cache > CACHE_OVER_L2 * device.l2_cache
    flop = attention_flop.function(sequences * keys, inputs["rows"] * inputs["groups"], inputs["head_width"], 0.0)
    possible = (seconds > reading) & (seconds > flop / _highest_peak(device, format_name))
    rows = _rows(device, backend, format_name, inputs, seconds, inputs["rows"], inputs["groups"], inputs["head_width"])
    if large.any() and (~possible)[large].mean() > IMPOSSIBLE_SHARE:
        return rows.where(np.zeros(len(rows), dtype=bool))
    return rows.where(possible & (large | (reading < WARM_SHARE * seconds)))


def _highest_peak(device: MeasuredDevice, format_name: str) -> float:
    return device.peak(format_name)[1]


def _rows(device: MeasuredDevice, backend: str, format_name: str, inputs: Columns, seconds: Any, *shape: Any) -> Rows:
    import numpy as np

    numbers = shape_numbers(*(np.broadcast_to(np.asarray(one, dtype=float), len(seconds)) for one in shape))
    return Rows(
        device=device.id, architecture=device.architecture, backend=backend, format=format_name,
        peak_of=device.peak("bf16")[0], kernel="", inputs=inputs, seconds=seconds, shapes=numbers,
    )  # fmt: skip


def window_of(columns: Columns) -> Any:
    """The window of every row; tables write nothing or zero for none."""
    import numpy as np

    if "window_size" not in columns:
        return np.full(len(columns["latency"]), UNBOUNDED)
    window = np.nan_to_num(columns["window_size"].astype(float))
    return np.where(window > 0, window, UNBOUNDED)


Maker = Callable[[MeasuredDevice, float, str, str, Columns, AttentionShape], Rows]


@dataclass(frozen=True, slots=True)
class AttentionFamily:
    """One family of attention kernels: its table, its equation, how rows are made."""

    name: str
    folder: str
    file: str
    axes: tuple[str, ...]
    equation: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    shape: Callable[[Columns], AttentionShape]
    rows: Maker

    def usable(self, table: KernelTable) -> Iterator[tuple[str, Columns]]:
        """The columns of a table by format of the cache, of the kernel that most rows name."""
        import numpy as np

        names = table.columns
        for stored in ("bfloat16", "fp8"):
            mask = (names["kv_cache_dtype"] == stored) & self._served(table, stored)
            if self.name == "latent_prefill":
                mask &= ~np.isin(names["kernel_source"].astype(str), ABSORBED_PREFILL)
            if mask.any():
                usual = Counter(names["kernel_source"][mask]).most_common(1)[0][0]
                yield {"bfloat16": "bf16"}.get(stored, stored), table.where(mask & (names["kernel_source"] == usual)).columns

    def _served(self, table: KernelTable, stored: str) -> Any:
        import numpy as np

        names = table.columns
        mask = np.ones(len(names["latency"]), dtype=bool)
        if "head_dim" in names:
            mask &= np.isin(names["head_dim"], HEAD_SIZES)
            mask &= names["num_heads"] <= MOST_QUERIES_PER_GROUP * names["num_key_value_heads"]
        if "attn_dtype" in names:
            # With an 8-bit cache engines multiply in 8 bits where they can.
            native = (names["attn_dtype"] == "fp8") & (names["kv_cache_dtype"] == "fp8")
            mask &= native if stored == "fp8" and native.any() else names["attn_dtype"] == "bfloat16"
        return mask


FAMILIES = {
    one.name: one
    for one in (
        AttentionFamily("attention_prefill", "attention", "context_attention_perf.parquet", PREFILL_AXES, PREFILL_EQUATION,
                        PREFILL_PARAMETERS, grouped_shape, prefill_rows),
        AttentionFamily("attention_decode", "attention", "generation_attention_perf.parquet", DECODE_AXES, DECODE_EQUATION,
                        DECODE_PARAMETERS, grouped_shape, decode_rows),
        AttentionFamily("latent_prefill", "mla", "context_mla_perf.parquet", PREFILL_AXES, PREFILL_EQUATION, PREFILL_PARAMETERS,
                        expanded_shape, prefill_rows),
        AttentionFamily("latent_decode", "mla", "generation_mla_perf.parquet", DECODE_AXES, DECODE_EQUATION, DECODE_PARAMETERS,
                        absorbed_shape, decode_rows),
    )
}  # fmt: skip


def family_rows(
    family: AttentionFamily, tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice], units: Mapping[str, float]
) -> list[Rows]:
    """The rows of a family from published tables, of each engine's newest version."""
    found = []
    for table in newest_tables(tables):
        for format_name, columns in family.usable(table):
            device = devices[table.device]
            rows = family.rows(device, units[table.device], table.backend, format_name, columns, family.shape(columns))
            if len(rows):
                found.append(rows)
    return found


def newest_tables(tables: Iterable[KernelTable]) -> list[KernelTable]:
    """Of each device and engine the table of the newest version."""
    newest: dict[tuple[str, str], KernelTable] = {}
    for table in tables:
        key = (table.device, table.backend)
        if key not in newest or version_order(newest[key].version) < version_order(table.version):
            newest[key] = table
    return list(newest.values())
