"""One simulation: traffic against replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.schema.workload import ClosedLoop, Targets, Traffic
from llmsizer.simulation.cluster import Cluster, Progress
from llmsizer.simulation.replicas import LEAST_LOADED
from llmsizer.simulation.requests import Source
from llmsizer.simulation.result import SimulationResult
from llmsizer.simulation.spec import EngineSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Where nothing says how long the start lasts, this share of an open-loop run is left out of the steady part.
WARM_UP_SHARE = 0.1


def simulate(
    traffic: Traffic,
    engine: EngineSpec,
    *,
    replicas: int = 1,
    routing: str = LEAST_LOADED,
    num_prompts: int = 1000,
    seed: int = 0,
    exact: bool = False,
    targets: Targets | None = None,
    warm_up_requests: int | None = None,
    progress: Progress | None = None,
) -> SimulationResult:
    """Sends ``num_prompts`` requests through the engine and measures as ``vllm bench serve`` does.

    ``targets`` is the promise to requests whose class has none. The result has the whole run, start
    burst and tail included, and apart from it the steady part: after ``warm_up_requests`` answers
    (default: the concurrency, twice that where users scatter, else a tenth of the run), before the last
    request is sent. ``exact`` asks for the time of every single step instead of tabulating over the context.
    ``progress(done, all)`` is called about a hundred times.

    Raises InvalidQuestion (a request that could never run, counts below 1) and UnknownName.
    """
    if replicas < 1:
        raise InvalidQuestion(f"replicas must be at least 1, got {replicas}")
    cluster = Cluster(Source(traffic, num_prompts, seed), progress)
    cluster.open_door(cluster.add(engine, replicas, exact), routing)
    cluster.run()
    return collected(cluster, traffic, seed, targets, warm_up_requests)


def collected(cluster: Cluster, traffic: Traffic, seed: int, targets: Targets | None, warm_up: int | None) -> SimulationResult:
    """What a finished run measured."""
    requests = cluster.source.requests
    if warm_up is None:
        arrivals = traffic.arrivals
        warm_up = int(len(requests) * WARM_UP_SHARE)
        if isinstance(arrivals, ClosedLoop):
            warm_up = arrivals.concurrency * (2 if arrivals.scatter_seconds else 1)
    return SimulationResult(
        requests={name: _column(cluster, name) for name in _COLUMNS},
        class_names=tuple(kind.name for kind in traffic.classes),
        class_targets=tuple(kind.targets or targets or Targets() for kind in traffic.classes),
        replicas=tuple(replica.record for replica in cluster.replicas),
        capacities=tuple(replica.spec.kv_blocks for replica in cluster.replicas),
        warm_up_requests=warm_up,
        seed=seed,
    )


_COLUMNS = {
    "session": "session", "turn": "turn", "class": "kind", "priority": "priority", "input_tokens": "input_tokens",
    "output_tokens": "output_tokens", "sent_seconds": "sent", "queued_seconds": "queued", "admitted_seconds": "admitted",
    "first_token_seconds": "first_token", "finished_seconds": "finished", "cached_tokens": "cached_tokens",
    "preemptions": "preemptions", "replica": "replica", "result_cached": "result_cached", "delivered_tokens": "emitted",
}  # fmt: skip


def _column(cluster: Cluster, name: str) -> NDArray[Any]:
    import numpy as np

    kind: type[np.generic] = np.float64 if name.endswith("_seconds") else np.int64
    return np.array([getattr(request, _COLUMNS[name]) for request in cluster.source.requests], dtype=kind)
