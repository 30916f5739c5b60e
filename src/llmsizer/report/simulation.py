"""A simulation for people: tables, a file of all requests, and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsizer.core.explain import plain
from llmsizer.core.quantities import human
from llmsizer.report.figures import blank_figure, checked_picture, save_figure
from llmsizer.report.tables import Table, as_csv
from llmsizer.simulation.result import HEADERS, SimulationResult, Spread, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from llmsizer.simulation.techniques import Gain
    from llmsizer.sizing.pools import Pools

LATENCIES = (
    ("TTFT", "ttft"),
    ("TPOT", "tpot"),
    ("ITL", "itl"),
    ("E2E", "e2e"),
    ("queue", "queue"),
)
_MISSING = "-"


def latency_table(summary: Summary, title: str = "Latency") -> Table:
    """Mean and percentiles of the latencies of a stretch of a run."""
    rows: list[list[str]] = []
    for label, name in LATENCIES:
        spread: Spread | None = getattr(summary, name)
        values = [getattr(spread, part) for part in Spread.__slots__] if spread else []
        rows.append([label, *(human(value, "second", 3) for value in values)] if values else [label, *[_MISSING] * 5])
    return Table(title, ("", "mean", "p50", "p90", "p95", "p99"), rows, right=(1, 2, 3, 4, 5))


_FIGURES: Sequence[tuple[str, Callable[[Summary], str]]] = (
    ("requests", lambda s: f"{s.requests:,}"),
    ("duration", lambda s: human(s.duration_seconds, "second")),
    ("requests/s", lambda s: f"{s.requests_per_second:.4g}"),
    ("good requests/s", lambda s: f"{s.goodput_requests_per_second:.4g}"),
    ("input tokens/s", lambda s: f"{s.input_tokens_per_second:,.1f}"),
    ("output tokens/s", lambda s: f"{s.output_tokens_per_second:,.1f}"),
    ("total tokens/s", lambda s: f"{s.total_tokens_per_second:,.1f}"),
    ("requests in flight, mean", lambda s: f"{s.concurrency:.1f}"),
    ("sequences running per replica, mean", lambda s: f"{s.running:.1f}"),
    ("sequences decoding per replica, mean", lambda s: f"{s.decoding:.1f}"),
    ("KV cache used, mean", lambda s: f"{s.kv_occupancy:.1%}"),
    ("KV cache used, most", lambda s: f"{s.kv_occupancy_peak:.1%}"),
    ("prompt tokens found cached", lambda s: f"{s.prefix_hit_rate:.1%}"),
    ("preemptions", lambda s: f"{s.preemptions:,}"),
    ("answered from stored results", lambda s: f"{s.result_cache_hits:,}"),
)


def load_table(result: SimulationResult) -> Table:
    """Throughput and load, of the whole run and of its steady part."""
    whole, steady = result.summary(), result.steady()
    rows = [[label, text(whole), text(steady) if steady else _MISSING] for label, text in _FIGURES]
    return Table("Throughput and load", ("", "whole run", "steady part"), rows, right=(1, 2))


def class_table(result: SimulationResult) -> Table:
    """One row for each class of requests."""
    rows = []
    for name in result.class_names:
        if not (result.requests["class"] == result.class_names.index(name)).any():
            continue
        summary = result.summary(name)
        late = [_short(getattr(summary, metric), part) for metric in ("ttft", "tpot", "e2e") for part in ("mean", "p95")]
        rows.append([name, f"{summary.requests:,}", f"{summary.goodput_requests_per_second:.4g}", *late])
    headers = ("class", "sent", "good/s", "TTFT mean", "p95", "TPOT mean", "p95", "E2E mean", "p95")
    return Table(
        "Classes of requests (good/s: a second, within their targets)", headers, rows, right=tuple(range(1, len(headers)))
    )


def _short(spread: Spread | None, part: str) -> str:
    return human(getattr(spread, part), "second", 3) if spread else _MISSING


def simulation_tables(result: SimulationResult) -> list[Table]:
    """Every table of a simulation: latencies (whole run, steady part), load, and classes where there are several."""
    tables = [latency_table(result.summary(), "Latency, whole run (start burst and tail included)")]
    steady = result.steady()
    if steady:
        tables.append(latency_table(steady, "Latency, steady part"))
    tables.append(load_table(result))
    if len(result.class_names) > 1:
        tables.append(class_table(result))
    return tables


def pool_table(pools: Pools) -> Table:
    """The closed form of two pools."""
    seconds = {"TTFT, mean": pools.ttft_seconds, "TPOT, mean": pools.tpot_seconds, "E2E, mean": pools.e2e_seconds,
               "transfer of a cache": pools.transfer_seconds}  # fmt: skip
    rows = [[label, human(float(plain(value)), "second", 3)] for label, value in seconds.items()]
    rows += [
        ["requests/s", f"{plain(pools.rate):.4g}"],
        ["most requests/s", f"{plain(pools.highest_rate):.4g}"],
        ["prefill pool busy", f"{plain(pools.prefill_load):.1%}"],
        ["decode pool busy", f"{plain(pools.decode_load):.1%}"],
        ["sequences in a decode step", f"{plain(pools.decode_batch):.1f}"],
        ["prefill replicas for each decode replica, balanced", f"{plain(pools.ratio):.2f}"],
    ]
    return Table("The same in closed form", ("", ""), rows, right=(1,))


def gain_table(found: Sequence[Gain]) -> Table:
    """What techniques gain on this traffic, beside what is claimed for them."""
    rows = []
    for gain in found:
        faster = [f"{ratio:.2f}x" if ratio is not None else _MISSING for ratio in map(gain.faster, ("ttft", "tpot", "e2e"))]
        claim = f"{gain.claim['low']:g}-{gain.claim['high']:g}x {gain.claim['figure']}"
        rows.append([gain.title, f"{gain.throughput:.2f}x", *faster, claim, gain.claim["by"]])
    headers = ("with it over without", "output tokens/s", "TTFT", "TPOT", "E2E", "claimed", "by")
    return Table("Gain on this traffic (times better)", headers, rows, right=(1, 2, 3, 4))


def requests_csv(result: SimulationResult) -> str:
    """Every request as CSV: lengths, times, latencies, and whether it met its targets."""
    return as_csv(HEADERS, result.rows())


def save_plots(result: SimulationResult, path: str | Path) -> None:
    """Writes one picture (PNG, SVG or PDF by its ending): the distributions of TTFT and TPOT, the
    running batch and the KV occupancy over time.

    Raises LlmsizerError where matplotlib is not installed or the file cannot be written.
    """
    picture = checked_picture(Path(path))
    figure = blank_figure(11, 7)
    figure.set_layout_engine("constrained")
    _draw(result, figure)
    save_figure(figure, picture)


def _draw(result: SimulationResult, figure: Figure) -> None:
    (ttft, tpot), (batch, cache) = figure.subplots(2, 2)
    _distribution(ttft, result.latencies["ttft"][result.requests["result_cached"] == 0], "TTFT")
    _distribution(tpot, result.latencies["tpot"][result.requests["result_cached"] == 0], "TPOT")
    for index, blocks in enumerate(result.capacities):
        line = result.timeline(index)
        label = f"replica {index}" if len(result.capacities) > 1 else None
        batch.step(line["start_seconds"], line["running"], where="post", linewidth=0.8, label=label)
        cache.step(line["end_seconds"], line["kv_blocks_used"] / blocks * 100, where="post", linewidth=0.8, label=label)
    batch.set(title="Running batch", xlabel="time (s)", ylabel="sequences")
    cache.set(title="KV cache used", xlabel="time (s)", ylabel="% of the blocks")
    cache.set_ylim(0, 105)
    if len(result.capacities) > 1:
        batch.legend(fontsize="small")
    for axes in (ttft, tpot, batch, cache):
        axes.grid(visible=True, alpha=0.3)


def _distribution(axes: Axes, seconds: Any, name: str) -> None:
    import numpy as np

    values = np.sort(seconds[~np.isnan(seconds)]) * 1e3
    axes.plot(values, np.arange(1, values.size + 1) / max(values.size, 1) * 100)
    axes.set(title=f"{name}, whole run", xlabel=f"{name} (ms)", ylabel="% of requests at most")
    axes.set_ylim(0, 100)
