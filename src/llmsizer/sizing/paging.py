"""Paged against contiguous caches: what each wastes, and the concurrency gained."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.explain import plain
from llmsizer.core.numerics import ceil
from llmsizer.formulas.kv_cache import cache_waste, contiguous_sequences, paged_sequences
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import MemoryEstimate, workload_length


@dataclass(frozen=True, slots=True)
class PagingGain:
    """Plain numbers: sequences of the workload that fit at once with a cache reserved for
    ``max_model_len`` each, and with pages; and the share of each cache that holds no token."""

    contiguous_sequences: float
    paged_sequences: float
    contiguous_waste: float
    paged_waste: float

    @property
    def gain(self) -> float:
        """How many times more sequences pages allow."""
        return self.paged_sequences / self.contiguous_sequences if self.contiguous_sequences else 0.0


def paging_gain(case: Case, memory: MemoryEstimate) -> PagingGain:
    """The gain of pages over a reservation of ``max_model_len`` tokens a sequence, for caches that
    keep every token (windows and states shrink both alike)."""
    tokens, length = float(plain(memory.kv_slots)), float(plain(workload_length(case)))
    reserved, block = float(plain(case.max_model_len)), float(plain(case.block_size))
    # A sequence grows from its prompt to its end; half its answer is there on average.
    held = float(plain(case.workload.input_tokens)) + float(plain(case.workload.output_tokens)) / 2
    return PagingGain(
        contiguous_sequences=plain(contiguous_sequences(tokens, reserved)),
        paged_sequences=plain(paged_sequences(tokens, length, block)),
        contiguous_waste=plain(cache_waste(held, reserved)),
        paged_waste=plain(cache_waste(held, ceil(held / block) * block)),
    )
