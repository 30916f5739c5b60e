"""What context-parallel ranks tell each other: keys and values of prompts, queries and outputs of decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import repeated_width
from llmsizer.formulas.storage import bytes_per_value
from llmsizer.schema.deployment import Case
from llmsizer.sizing.collectives import collective
from llmsizer.sizing.kernels import AcrossNodes, Collective
from llmsizer.sizing.machine import network_machine


class Heads(Protocol):
    """The attention of one rank, as its collectives see it."""

    @property
    def heads(self) -> Count:
        """Query heads."""

    @property
    def key_width(self) -> Count:
        """Elements of a query."""

    @property
    def value_width(self) -> Count:
        """Elements of an output."""

    @property
    def entries(self) -> Count:
        """Cached elements of a token."""


def prompt_collectives(case: Case, shape: Heads) -> Iterator[Collective | AcrossNodes]:
    """Every rank gathers the keys and values of the whole prompt from the ranks that share its tokens."""
    ranks = case.parallel.prefill_context_parallel_size
    if plain(ranks) > 1:
        yield _gathered(case, ranks, shape.entries)


def _gathered(case: Case, ranks: Count, width: Count) -> Collective | AcrossNodes:
    """Ranks that share prompts lie as far apart as there are tensor-parallel ones."""
    name = "gather of keys and values"
    if plain(repeated_width(case.parallel.tensor_parallel_size, ranks)) <= plain(case.accelerator.reach):
        return collective(case, name, "all_gather", ranks, width, rows_of="prompt_rows")
    values = bytes_per_value(case.native.bits)
    return Collective(name, "prompt_rows", width, values, ranks, network_machine(case, "all_gather"))


def cache_collectives(case: Case, shape: Heads, ranks: Count) -> Iterator[Collective | AcrossNodes]:
    """Ranks that share a cache gather each other's queries, and sum up what each found in its part of the cache;
    what is cached of prompts still being read is gathered whole. ``shape``: the heads of all of them."""
    queries, outputs = repeated_width(shape.heads, shape.key_width), repeated_width(shape.heads, shape.value_width)
    yield collective(case, "gather of queries", "all_gather", ranks, queries, rows_of="decoding_rows")
    yield collective(case, "sum of partial outputs", "reduce_scatter", ranks, outputs, rows_of="decoding_rows")
    yield collective(case, "gather of cached context", "all_gather", ranks, shape.entries, rows_of="cached_rows")
