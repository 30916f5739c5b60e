"""Several replicas behind one door: which of them takes a request."""

from __future__ import annotations

from collections.abc import Sequence

from llmsizer.core.errors import UnknownName
from llmsizer.simulation.replica import Replica
from llmsizer.simulation.requests import Request

ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE = "round-robin", "least-loaded", "prefix-aware"
ROUTINGS = (ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE)

# A prefix is followed only while its replica has at most this many requests more, and at most this
# ratio of requests, than the least loaded one (SGLang's router: balance thresholds 64 and 1.5).
UNEVEN_REQUESTS, UNEVEN_RATIO = 64, 1.5


class Router:
    """Chooses a replica for each request that reaches the door.

    ``round-robin``: one after the other; ``least-loaded``: the fewest requests queued and running;
    ``prefix-aware``: the longest cached prefix, unless that would load the replicas too unevenly.
    """

    def __init__(self, routing: str, replicas: Sequence[Replica]) -> None:
        if routing not in ROUTINGS:
            raise UnknownName("routing", routing, ROUTINGS)
        self.routing, self.replicas = routing, replicas
        self._next = 0

    def choose(self, request: Request) -> Replica:
        """The replica for a request."""
        if len(self.replicas) == 1:
            return self.replicas[0]
        if self.routing == ROUND_ROBIN:
            self._next += 1
            return self.replicas[(self._next - 1) % len(self.replicas)]
        idlest = min(self.replicas, key=lambda replica: (replica.outstanding, replica.index))
        if self.routing == LEAST_LOADED:
            return idlest
        busiest = max(replica.outstanding for replica in self.replicas)
        if busiest - idlest.outstanding > UNEVEN_REQUESTS and busiest > UNEVEN_RATIO * idlest.outstanding:
            return idlest
        return max(self.replicas, key=lambda r: (r.pool.cached_blocks(request), -r.outstanding, -r.index))
