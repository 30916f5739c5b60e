"""What a simulation measured: every request, the replicas over time, and summaries of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmsizer.core.quantities import human
from llmsizer.core.results import Result
from llmsizer.schema.workload import Targets
from llmsizer.simulation.recording import Recorder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PERCENTILES = (50, 90, 95, 99)
_ROW = (
    "session", "turn", "priority", "input_tokens", "output_tokens", "sent_seconds", "queued_seconds", "admitted_seconds",
    "first_token_seconds", "finished_seconds", "cached_tokens", "preemptions", "replica", "result_cached",
)  # fmt: skip
HEADERS = ("request", "class", *_ROW, "ttft_seconds", "tpot_seconds", "e2e_seconds", "good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The ``mean`` of a latency in seconds, and what 50, 90, 95 and 99 of 100 requests stay below: ``p50``, ``p90``,
    ``p95``, ``p99``."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Figures of a stretch of a run, of its ``requests``; a latency is None where no request has it.

    Rates (``requests_per_second``, ``input_tokens_per_second`` …) are per second over ``duration_seconds``;
    ``goodput_requests_per_second`` counts requests that met all their targets. ``ttft`` runs from sending a request to its
    first token, ``tpot`` is (E2E − TTFT) / (output tokens − 1), ``itl`` every gap between two tokens (of all classes
    together, else None), ``e2e`` to the last token, ``queue`` from the engine's queue to the first step. ``running``,
    ``decoding`` and ``kv_occupancy`` (a share) are means over time and replicas, ``kv_occupancy_peak`` is the fullest
    moment. ``prefix_hit_rate``: share of prompt tokens found cached. ``preemptions`` and ``result_cache_hits`` are counts.
    """

    requests: int
    duration_seconds: float
    requests_per_second: float
    goodput_requests_per_second: float
    input_tokens_per_second: float
    output_tokens_per_second: float
    total_tokens_per_second: float
    ttft: Spread | None
    tpot: Spread | None
    itl: Spread | None
    e2e: Spread | None
    queue: Spread | None
    concurrency: float
    running: float
    decoding: float
    kv_occupancy: float
    kv_occupancy_peak: float
    prefix_hit_rate: float
    preemptions: int
    result_cache_hits: int

    def to_dict(self) -> dict[str, Any]:
        """Flat, with the unit in each key: ``ttft_seconds`` (the mean), ``ttft_p50_seconds`` …"""
        flat: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name in _SPREADS:
                for part in Spread.__slots__:
                    key = f"{name}_seconds" if part == "mean" else f"{name}_{part}_seconds"
                    flat[key] = None if value is None else value[part]
            else:
                flat[name] = value
        return flat


_SPREADS = ("ttft", "tpot", "itl", "e2e", "queue")


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulationResult(Result):
    """A finished run. ``requests`` has one array for each column, in the order requests were drawn;
    times count from the start of the run. A result-cache hit costs no time and is in no latency.

    ``class_names`` and ``class_targets``: the classes of requests and what each must keep. ``replicas``: what each replica
    did over time; ``capacities`` its cache blocks. ``warm_up_requests``: so many answers come before the steady part.
    ``seed``: of the random draws.
    """

    requests: Mapping[str, NDArray[Any]]
    class_names: tuple[str, ...]
    class_targets: tuple[Targets, ...]
    replicas: tuple[Recorder, ...]
    capacities: tuple[int, ...]
    warm_up_requests: int
    seed: int

    @cached_property
    def latencies(self) -> dict[str, Floats]:
        """TTFT, TPOT (not a number where the answer is one token), E2E and queue time of each request."""
        import numpy as np

        r = self.requests
        ttft, e2e = r["first_token_seconds"] - r["sent_seconds"], r["finished_seconds"] - r["sent_seconds"]
        more = np.where(r["output_tokens"] > 1, r["output_tokens"] - 1, np.nan)
        return {"ttft": ttft, "tpot": (e2e - ttft) / more, "e2e": e2e, "queue": r["admitted_seconds"] - r["queued_seconds"]}

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Which requests met all the targets of their class."""
        import numpy as np

        good = np.ones(self.requests["class"].size, dtype=bool)
        for kind, targets in enumerate(self.class_targets):
            of = self.requests["class"] == kind
            for name in ("ttft", "tpot", "e2e"):
                limit = getattr(targets, f"{name}_seconds")
                if limit is not None:
                    with np.errstate(invalid="ignore"):
                        good &= ~of | ~(self.latencies[name] > limit)
        return good

    def timeline(self, replica: int = 0) -> dict[str, Floats]:
        """The intervals of one replica: seconds, sequences running, decoding and waiting, KV blocks
        used, tokens out."""
        return self.replicas[replica].timeline()

    def summary(self, kind: str | None = None) -> Summary:
        """The whole run, from the first request sent to the last answer, as ``vllm bench serve`` counts it;
        ``kind`` restricts requests and rates to one class."""
        import numpy as np

        chosen = self._of_class(kind)
        start, end = float(self.requests["sent_seconds"].min()), float(self.requests["finished_seconds"].max())
        return self._summary(chosen, chosen, (start, end), float(np.sum(self.requests["delivered_tokens"][chosen])), kind)

    def steady(self, kind: str | None = None) -> Summary | None:
        """The part after the start burst and before the tail: latencies of the requests sent in it,
        rates of what ended in it. None where the run is too short to have one."""
        import numpy as np

        ends = np.sort(self.requests["finished_seconds"])
        if self.warm_up_requests >= ends.size:
            return None
        start = float(ends[self.warm_up_requests - 1]) if self.warm_up_requests else 0.0
        end = float(self.requests["sent_seconds"].max())
        sent = (self.requests["sent_seconds"] >= start) & (self.requests["sent_seconds"] < end) & self._of_class(kind)
        ended = (self.requests["finished_seconds"] > start) & (self.requests["finished_seconds"] <= end) & self._of_class(kind)
        if end <= start or not sent.any():
            return None
        return self._summary(sent, ended, (start, end), self._tokens_between(start, end) if kind is None else None, kind)

    def _of_class(self, kind: str | None) -> NDArray[np.bool_]:
        import numpy as np

        from llmsizer.core.errors import UnknownName

        if kind is None:
            return np.ones(self.requests["class"].size, dtype=bool)
        if kind not in self.class_names:
            raise UnknownName("class of requests", kind, self.class_names)
        chosen: NDArray[np.bool_] = self.requests["class"] == self.class_names.index(kind)
        return chosen

    def _summary(
        self,
        sent: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        span: tuple[float, float],
        tokens: float | None,
        kind: str | None,
    ) -> Summary:
        import numpy as np

        r, (start, end) = self.requests, span
        seconds, served = max(end - start, 1e-300), sent & (r["result_cached"] == 0)
        output = float(np.sum(r["output_tokens"][ended])) if tokens is None else float(tokens)
        prompt = float(np.sum(r["input_tokens"][ended]))
        inside = np.clip(np.minimum(r["finished_seconds"], end) - np.maximum(r["sent_seconds"], start), 0, None)
        prompts = float(np.sum(r["input_tokens"][served]))
        late: dict[str, Any] = {name: _spread(values[served]) for name, values in self.latencies.items()}
        load: dict[str, Any] = self._load(start, end)
        return Summary(
            requests=int(sent.sum()),
            duration_seconds=end - start,
            requests_per_second=float(ended.sum()) / seconds,
            goodput_requests_per_second=float((ended & self.good).sum()) / seconds,
            input_tokens_per_second=prompt / seconds,
            output_tokens_per_second=output / seconds,
            total_tokens_per_second=(prompt + output) / seconds,
            **late,
            itl=self._gaps(start, end) if kind is None else None,
            concurrency=float(np.sum(inside)) / seconds,
            **load,
            prefix_hit_rate=float(np.sum(r["cached_tokens"][served])) / prompts if prompts else 0.0,
            preemptions=int(np.sum(r["preemptions"][sent])),
            result_cache_hits=int(np.sum(r["result_cached"][sent])),
        )

    def _tokens_between(self, start: float, end: float) -> float:
        import numpy as np

        whole = 0.0
        for record in self.replicas:
            line = record.timeline()
            begin, stop = line["start_seconds"], line["end_seconds"]
            inside = np.clip(np.minimum(stop, end) - np.maximum(begin, start), 0, None)
            whole += float(np.sum(line["output_tokens"] * inside / np.maximum(stop - begin, 1e-300)))
        return whole

    def _load(self, start: float, end: float) -> dict[str, float]:
        """Means over time (idle time included) and replicas, and the fullest moment of the fullest cache."""
        import numpy as np

        means: dict[str, list[float]] = {"running": [], "decoding": [], "kv_occupancy": []}
        peak = 0.0
        for record, blocks in zip(self.replicas, self.capacities, strict=True):
            line = record.timeline()
            inside = np.clip(np.minimum(line["end_seconds"], end) - np.maximum(line["start_seconds"], start), 0, None)
            share = inside / max(end - start, 1e-300)
            used = line["kv_blocks_used"] / blocks
            for name, values in (("running", line["running"]), ("decoding", line["decoding"]), ("kv_occupancy", used)):
                means[name].append(float(np.sum(values * share)))
            peak = max(peak, float(np.max(used[inside > 0], initial=0.0)))
        return {name: sum(found) / len(found) for name, found in means.items()} | {"kv_occupancy_peak": peak}

    def _gaps(self, start: float, end: float) -> Spread | None:
        import numpy as np

        found = [record.token_gaps(start, end) for record in self.replicas]
        return _spread(np.concatenate([gaps for gaps, _ in found]), np.concatenate([counts for _, counts in found]))

    def rows(self) -> Sequence[Sequence[Any]]:
        """One row for each request, under ``HEADERS``."""
        names = [self.class_names[kind] for kind in self.requests["class"].tolist()]
        columns = [self.requests[name].tolist() for name in _ROW]
        late = [
            [None if value != value else value for value in self.latencies[name].tolist()] for name in ("ttft", "tpot", "e2e")
        ]
        return list(zip(range(len(names)), names, *columns, *late, self.good.astype(int).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The whole run, the steady part (or None) and the seed, ready for JSON."""
        steady = self.steady()
        return {"seed": self.seed, "all": self.summary().to_dict(), "steady": steady.to_dict() if steady else None}

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each request, its keys ``HEADERS``."""
        return [dict(zip(HEADERS, row, strict=True)) for row in self.rows()]

    def __repr__(self) -> str:
        whole = self.summary()
        first = f", first token {human(whole.ttft.mean, 'second', 3)} (mean)" if whole.ttft else ""
        return f"<SimulationResult: {whole.requests:,} requests in {human(whole.duration_seconds, 'second', 3)}{first}>"


def _spread(values: Floats, weights: Floats | None = None) -> Spread | None:
    """Mean and percentiles (between neighbours linearly; of weighted values, the value that holds the place)."""
    import numpy as np

    kept = ~np.isnan(values)
    values = values[kept]
    if not values.size:
        return None
    if weights is None:
        found = np.percentile(values, PERCENTILES)
        mean = float(np.mean(values))
    else:
        order = np.argsort(values, kind="stable")
        cumulative = np.cumsum(weights[kept][order])
        places = np.searchsorted(cumulative, np.array(PERCENTILES) / 100 * cumulative[-1])
        found = values[order][np.minimum(places, values.size - 1)]
        mean = float(np.average(values, weights=weights[kept]))
    return Spread(mean=mean, **{f"p{share}": float(value) for share, value in zip(PERCENTILES, found, strict=True)})
