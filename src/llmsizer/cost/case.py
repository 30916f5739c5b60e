"""The case of a cost question: what runs, at what price, and what it serves."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmsizer.core.explain import QUESTION, Provenance
from llmsizer.core.quantities import Count, Fraction, GramsPerJoule, PerSecond, Seconds, Tokens
from llmsizer.schema.price import Extras, OwnedHardware, Power, Rental

# How the joint cost of a request is shared among its tokens; see docs/cost.md.
ALLOCATIONS = ("tokens", "device-time")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """So many instances (a mean over time may be broken) rented at one price."""

    rental: Rental
    instances: Count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostCase:
    """What runs, what it serves, and the rules of the account. Numbers may be arrays over candidates.

    ``price``: rented or owned hardware for ``replicas`` replicas of ``devices`` devices; ``lines``
    replaces it where the fleet is rented at several prices. ``instances``: their mean number, where a
    changing demand makes it another than what the replicas take.
    ``requests_per_second`` is what comes (None: unknown), ``capacity`` the most that all replicas
    serve (None: unknown). ``cached`` is the share of input tokens found in the prefix cache.
    ``prefill_seconds`` and ``decode_seconds``: device time of a request.
    ``allocation``: ``tokens`` or ``device-time`` (default where both times are known);
    ``output_token_ratio`` weighs an output token against an input token in the former.
    ``busy``: share of the time that devices work (default: the load).
    """

    price: Rental | OwnedHardware | None
    devices: Count = 1
    replicas: Count = 1
    instances: Count | None = None
    lines: tuple[Line, ...] = ()
    requests_per_second: PerSecond | None = None
    capacity: PerSecond | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached: Fraction = 0.0
    prefill_seconds: Seconds | None = None
    decode_seconds: Seconds | None = None
    allocation: str | None = None
    output_token_ratio: Fraction = 1.0
    cached_token_weight: Fraction | None = None
    busy: Fraction | None = None
    power: Power | None = None
    extras: Extras = field(default_factory=Extras)
    requests_per_user_month: Count | None = None
    emissions: GramsPerJoule | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance(QUESTION))
