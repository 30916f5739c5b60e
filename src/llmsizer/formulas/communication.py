"""Time of collectives over a fabric.

A collective costs a start that grows with the ranks that have to meet, a second start when messages
leave the low-latency protocol for the bulk one, and its traffic over the bandwidth. All three rise
with the message and the ranks; with a fraction of at most one no collective beats its link.

The parameters are measured data (``catalog/data/calibrations/collectives.yaml``).
"""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import power
from llmsizer.core.quantities import Bytes, BytesPerSecond, Count, Fraction, Seconds


@formula(
    reference="latency and bandwidth (Hockney 1994); ring traffic (Patarasuk and Yuan 2009); in-switch reduction (NCCL NVLS)"
)
def collective_seconds(
    message: Bytes,
    ranks: Count,
    bandwidth: BytesPerSecond,
    latency_seconds: Seconds,
    rank_seconds: Seconds,
    bulk_seconds: Seconds,
    bulk_bytes: Bytes,
    bandwidth_fraction: Fraction,
    passes: Count,
    copies: Fraction,
    contention: Fraction,
) -> Seconds:
    """Seconds of one collective among ``ranks`` over links of ``bandwidth`` (one way, per device).

    ``message``: bytes of the whole buffer: what an all-reduce sums, what an all-gather ends with, what a
    reduce-scatter or an all-to-all starts with on each rank. ``latency_seconds``: start among two;
    ``rank_seconds``: more for each further rank. ``bulk_seconds``: what large messages wait longer, half of
    it at ``bulk_bytes``. ``passes``: times that a rank sends the rest of the buffer, (ranks − 1)/ranks of it: two
    for a ring all-reduce, one for the others; two between two ranks make a point-to-point transfer.
    ``copies``: share of the traffic that a switch which reduces and multiplies data spares (0: none; 1: down to
    one pass). ``contention``: exponent with which ranks that share a host bus slow each other; negative in a
    mesh of direct links, of which few ranks use few.

    >>> ring = dict(latency_seconds=4e-6, rank_seconds=1e-6, bulk_seconds=0.0, bulk_bytes=1.0, bandwidth_fraction=0.75,
    ...             passes=2.0, copies=0.0, contention=0.0)
    >>> round(collective_seconds(16384.0, 8.0, 450e9, **ring) * 1e6, 2)
    10.08
    >>> round(collective_seconds(1e9, 8.0, 450e9, **ring) * 1e3, 2)
    5.2
    """
    ring = passes * (ranks - 1.0) / ranks
    spared = copies * (passes - 1.0) * (ranks - 2.0) / ranks
    traffic = (ring - spared) * message * power(ranks / 2.0, contention)
    start = latency_seconds + rank_seconds * (ranks - 2.0) + bulk_seconds * message / (message + bulk_bytes)
    return start + traffic / (bandwidth * bandwidth_fraction)


@formula(reference="the devices of a machine send at the same time")
def share_of_network(network_bandwidth: BytesPerSecond, devices: Count) -> BytesPerSecond:
    """Network bandwidth of one device of a machine.

    >>> share_of_network(400e9, 8)
    50000000000.0
    """
    return network_bandwidth / devices


@formula(reference="hierarchical collectives: ranks of a node share their part of the message with their peers of other nodes")
def message_between_nodes(message: Bytes, ranks_per_node: Count) -> Bytes:
    """Bytes that each rank exchanges with its peers of other nodes, after a reduce-scatter in its node.

    >>> message_between_nodes(8e6, 8.0)
    1000000.0
    """
    return message / ranks_per_node


@formula(reference="hierarchical all-reduce: reduce-scatter inside nodes, all-reduce between them, all-gather inside")
def hierarchical_seconds(inside_seconds: Seconds, between_seconds: Seconds) -> Seconds:
    """Seconds of a collective that runs inside nodes and then between them.

    ``inside_seconds``: of the parts inside a node (an all-reduce there takes as long as its two halves);
    ``between_seconds``: of the part between nodes, over ``message_between_nodes``.

    >>> hierarchical_seconds(0.25, 0.5)
    0.75
    """
    return inside_seconds + between_seconds
