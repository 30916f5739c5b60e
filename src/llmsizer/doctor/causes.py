"""Why a figure of a log differs from the estimate: rules that speak only when the numbers agree with them.

A rule takes the evidence and one figure and returns a sentence, or nothing. Most ask the estimate
again with one thing changed and speak when that makes the difference go away. To add one: write the
function and name it in ``CAUSES`` under the figures it can explain, the surest first.
"""

from __future__ import annotations

from llmsizer.doctor import cache_causes as cache
from llmsizer.doctor import part_causes as part
from llmsizer.doctor.evidence import Evidence, Rule
from llmsizer.doctor.version_causes import other_version

NOT_EXPLAINED = "not explained"

CAUSES: dict[str, tuple[Rule, ...]] = {
    "device_total": (part.card_spread, part.other_card),
    "device_free": (part.other_processes, part.shared_memory),
    "weights": (
        part.offloaded_weights, part.mtp_modules, part.draft_weights, part.adapter_slots, part.stage_shares,
        part.other_scheme, part.mixed_checkpoint, part.rocm_overhead, cache.split_not_modelled,
    ),
    "weights_all": (part.other_scheme, part.mixed_checkpoint),
    "activation": (
        part.no_sampler, part.fused_sampler, part.other_sequences, part.other_batched_tokens, other_version,
        part.vision_profiling, part.implied_sequences,
    ),
    "non_torch": (part.other_processes, part.shared_memory, other_version, part.rocm_overhead),
    "overheads": (
        part.other_processes, part.fused_sampler, part.other_sequences, part.other_batched_tokens, other_version,
        part.vision_profiling, part.shared_memory, part.rocm_overhead,
    ),
    "cuda_graph": (part.freed_blocks, part.fewer_graphs, other_version, part.rocm_overhead),
    "kv_cache": (
        cache.pool_limit, cache.smallest_rank, cache.from_parts, part.smaller_card, cache.other_fraction,
        part.other_processes, part.other_sequences, part.other_batched_tokens, other_version, part.shared_memory,
    ),
    "state_cache": (cache.follows("kv_cache"), cache.other_fraction),
    "kv_tokens": (
        cache.concurrency_figure, cache.follows("kv_cache", "bytes_per_token"), cache.from_cache_and_width,
        cache.pool_limit, cache.cache_format, cache.other_fraction, other_version,
    ),
    "bytes_per_token": (
        cache.concurrency_figure, cache.cache_format, cache.draft_layers, part.other_batched_tokens, other_version,
        cache.hidden_rank,
    ),
    "concurrency": (cache.follows("kv_tokens", "kv_cache"), part.other_batched_tokens, other_version),
    "kv_one_sequence": (cache.follows("bytes_per_token"), cache.cache_format, cache.draft_layers, other_version),
    "longest_length": (cache.follows("kv_cache", "kv_tokens"), cache.bounded_length, cache.other_fraction, other_version),
    "compute_buffer": (cache.other_attention, cache.input_copies, cache.streamed_weights),
}  # fmt: skip


def cause_of(evidence: Evidence, name: str) -> str:
    """The likely cause of a figure's difference; empty where both agree."""
    if evidence.agrees(name):
        return ""
    if not evidence.logged[name]:
        return NOT_EXPLAINED
    for rule in CAUSES.get(name, ()):
        if sentence := rule(evidence, name):
            return sentence
    return NOT_EXPLAINED
