"""Measured exchanges of tokens with experts (DeepEP kernels), as all-to-all collectives of the engines.

A row is half of dispatch plus combine. Its message is what the tokens would weigh if each were sent in
16 bit to each of its experts; kernels send a token once per rank and may dispatch in 8 bit, which the
fitted bandwidth contains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.attention import newest_tables
from llmsizer.authoring.fit.collectives import Fabric, collective_rows
from llmsizer.authoring.fit.rows import Rows
from llmsizer.authoring.fit.tables import KernelTable, read_tables

VALUE_BYTES, MICROSECOND = 2.0, 1e-6
KIND = "all_to_all"
# Engines exchange few tokens by the low-latency kernels, more by the high-throughput ones.
MOST_LOW_LATENCY_TOKENS = 256
# One node of the SGLang tables; those of other machines do not say how many ranks took part.
NODE_RANKS = {"h100-sxm5-80gb": 8, "h200-sxm5-141gb": 8, "b200-sxm6": 8, "b300-sxm6": 8}
_SHAPE = ("num_tokens", "hidden_size", "topk", "num_experts", "ep_size")
_NATIVE_TYPES = ("bfloat16", "default")


def exchange_rows(source: Path | None, fabrics: Mapping[str, Fabric]) -> list[Rows]:
    """The exchanges of all engines from the published tables, within one node, without host time.

    The smallest exchange of an engine takes as long as the fastest engine's on the same fabric: what
    is above was spent by the measuring loop on the host, and engines replay graphs.
    """
    import numpy as np

    found = [rows for rows in _engine_rows(source, fabrics) if len(rows)]
    floors = {rows.architecture: min(_floor(one) for one in found if one.architecture == rows.architecture) for rows in found}
    made = []
    for rows in found:
        host = _floor(rows) - floors[rows.architecture]
        rest = replace(rows, seconds=rows.seconds - host, host_seconds=host, pooled=False)
        least = (rows.inputs["ranks"] - 1.0) / rows.inputs["ranks"] * rows.inputs["message"] / rows.inputs["bandwidth"]
        made.append(rest.where(rest.seconds > np.maximum(0.5 * floors[rows.architecture], least)))
    return made


def _floor(rows: Rows) -> float:
    """Seconds of an engine's smallest exchanges (the fastest tenth)."""
    import numpy as np

    return float(np.quantile(rows.seconds, 0.1))


def _engine_rows(source: Path | None, fabrics: Mapping[str, Fabric]) -> Iterator[Rows]:
    for table in newest_tables(read_tables(source, "comm", "moe_a2a_perf.parquet")):
        yield _paired(table, fabrics[table.device])
    for table in newest_tables(read_tables(source, "comm", "wideep_deepep_ll_perf.parquet")):
        if table.device in NODE_RANKS:
            yield _low_latency(table, fabrics[table.device])


def _low_latency(table: KernelTable, fabric: Fabric) -> Rows:
    columns = table.where(table.columns["node_num"] == 1).columns
    message = columns["num_token"] * columns["hidden_size"] * columns["num_topk"] * VALUE_BYTES
    seconds = (columns["dispatch_avg_t_us"] + columns["combine_avg_t_us"]) / 2.0 * MICROSECOND
    ranks = [NODE_RANKS[table.device]] * len(message)
    return collective_rows(KIND, fabric, table.backend, ranks, message, seconds)


def _paired(table: KernelTable, fabric: Fabric) -> Rows:
    """Dispatch and combine of the same shape, the low-latency kernels where engines use them."""
    import numpy as np

    low = {"dispatch": _times(table, "dispatch", "_ll"), "combine": _times(table, "combine", "_ll")}
    high = {"dispatch": _times(table, "dispatch", "_ht"), "combine": _times(table, "combine", "_ht")}
    found: list[tuple[float, float, float]] = []
    for kernels, few in ((low, True), (high, False)):
        for shape in sorted(set(kernels["dispatch"]) & set(kernels["combine"])):
            if (shape[0] <= MOST_LOW_LATENCY_TOKENS) == few:
                tokens, hidden, experts_per_token, _, ranks = shape
                half = (kernels["dispatch"][shape] + kernels["combine"][shape]) / 2.0 * MICROSECOND
                found.append((ranks, tokens * hidden * experts_per_token * VALUE_BYTES, half))
    columns = np.array(found, dtype=float).reshape(-1, 3).T
    return collective_rows(KIND, fabric, table.backend, columns[0], columns[1], columns[2])


def _times(table: KernelTable, phase: str, kernel: str) -> dict[tuple[float, ...], float]:
    names = table.columns
    chosen: Iterable[tuple[Any, ...]] = zip(
        names["phase"],
        names["comm_backend"],
        names["comm_dtype"],
        names["latency"],
        *(names[key] for key in _SHAPE),
        strict=True,
    )
    return {
        tuple(float(size) for size in shape): float(time)
        for named, backend, dtype, time, *shape in chosen
        if named == phase and str(backend).endswith(kernel) and dtype in _NATIVE_TYPES
    }
