"""Disaggregated serving: one pool computes prompts, another decodes, the cache travels between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from llmsizer.core.errors import InvalidQuestion
from llmsizer.schema.workload import Targets, Traffic
from llmsizer.simulation.cluster import RECEIVED, Cluster, Progress
from llmsizer.simulation.replica import Replica
from llmsizer.simulation.replicas import LEAST_LOADED, Router
from llmsizer.simulation.requests import Request, Source
from llmsizer.simulation.result import SimulationResult
from llmsizer.simulation.run import collected
from llmsizer.simulation.scheduler import IterationReplica
from llmsizer.simulation.spec import EngineSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class KvTransfer:
    """How a prompt's cache reaches the decode pool: a fixed time and a time for each token.

    ``serial``: a prefill replica sends one cache after the other. ``before_first_token``: the client
    gets its first token from the decode pool, so that the transfer counts into TTFT; otherwise from
    the prefill pool, and the transfer delays the second token.
    """

    seconds_per_token: float = 0.0
    latency_seconds: float = 0.0
    serial: bool = True
    before_first_token: bool = True

    def __post_init__(self) -> None:
        if self.seconds_per_token < 0 or self.latency_seconds < 0:
            raise InvalidQuestion("the times of a KV transfer must not be negative")


class _Handover:
    """Moves requests from prefill to decode replicas."""

    def __init__(
        self, cluster: Cluster, senders: Sequence[Replica], receivers: Sequence[Replica], transfer: KvTransfer
    ) -> None:
        self.cluster, self.transfer = cluster, transfer
        self.router = Router(LEAST_LOADED, receivers)
        self.free_at = {sender.index: 0.0 for sender in senders}
        for sender in senders:
            cast(IterationReplica, sender).prefilled = self.start

    def start(self, request: Request, now: float) -> None:
        """A prompt is computed: its cache sets out."""
        sender = self.cluster.replicas[request.replica]
        begin = max(now, self.free_at[sender.index]) if self.transfer.serial else now
        end = begin + self.transfer.latency_seconds + self.transfer.seconds_per_token * request.target
        self.free_at[sender.index] = end
        self.cluster.at(end, RECEIVED, lambda: self.finish(cast(IterationReplica, sender), request))

    def finish(self, sender: IterationReplica, request: Request) -> None:
        """The cache has arrived: blocks are free at the sender, the request queues at the receiver."""
        now = self.cluster.now
        sender.hand_over(request)
        self.cluster.plan(sender)
        if self.transfer.before_first_token:
            request.first_token = request.last_emit = now
        request.ready = True
        self.cluster.hand(self.router.choose(request), request)


def simulate_disaggregated(
    traffic: Traffic,
    prefill: EngineSpec,
    decode: EngineSpec,
    *,
    prefill_replicas: int = 1,
    decode_replicas: int = 1,
    transfer: KvTransfer | None = None,
    routing: str = LEAST_LOADED,
    num_prompts: int = 1000,
    seed: int = 0,
    exact: bool = False,
    targets: Targets | None = None,
    warm_up_requests: int | None = None,
    progress: Progress | None = None,
) -> SimulationResult:
    """Simulates a pool of prefill replicas that hands its caches to a pool of decode replicas.

    Arguments as of ``simulate``; replicas are numbered prefill pool first. Raises InvalidQuestion
    where a pool cannot work iteration by iteration or a request could never run.
    """
    if prefill_replicas < 1 or decode_replicas < 1:
        raise InvalidQuestion(f"each pool needs a replica, got {prefill_replicas} and {decode_replicas}")
    if prefill.batchwise or decode.batchwise:
        raise InvalidQuestion("disaggregated pools schedule continuous or in-flight, not whole batches")
    source = Source(traffic, num_prompts, seed)
    cluster = Cluster(source, progress)
    senders = cluster.add(prefill, prefill_replicas, exact)
    receivers = cluster.add(decode, decode_replicas, exact)
    for request in source.requests:
        decode.check_fits(request.input_tokens, request.output_tokens)
    _Handover(cluster, senders, receivers, transfer or KvTransfer())
    cluster.open_door(senders, routing)
    cluster.run()
    return collected(cluster, traffic, seed, targets, warm_up_requests)
