"""Techniques of the engine: how it batches, caches, drafts and launches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.planner.advice.asked import ON, Asked, Change, Tried, changed, flag_of, technique, tries
from llmsizer.sizing.lowering import total_parameters

# An engine whose words are asked for where the deployment's own lacks something.
PAGED_ENGINE = "vllm"
SERVERS = ("vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp")
TOKEN_FACTORS, SEQUENCE_FACTORS = (0.25, 0.5, 2, 4), (0.5, 2)
BATCH_FACTORS = (2, 4)
GUESSES = (1, 3, 5)
# A draft model is worth its steps where it is this much smaller.
DRAFT_SHARE = 1 / 6


def with_engine(asked: Asked, engine: str) -> Change:
    """The question for another engine: limits and fractions of one engine mean nothing to another."""
    own: dict[str, Any] = dict.fromkeys(
        ("gpu_memory_utilization", "block_size", "max_num_seqs", "max_num_batched_tokens", "batching")
    )
    return Change(replace(asked.words, engine=engine, **own), flag_of("engine", engine))


@technique
def kv_cache(asked: Asked) -> Tried:
    """Keys and values kept instead of recomputed."""
    return f"{ON}: {asked.case.engine.title} keeps keys and values"


@technique
def paged_attention(asked: Asked) -> Tried:
    """A cache in pages that sequences take as they grow."""
    if asked.case.engine.kv_layout == "paged":
        return f"{ON}: {asked.case.engine.title} pages its cache"
    return [with_engine(asked, PAGED_ENGINE)]


@technique
def continuous_batching(asked: Asked) -> Tried:
    """Sequences that join and leave the batch at any step."""
    if asked.case.batching in ("continuous", "in-flight"):
        return f"{ON}: {asked.case.batching}"
    if asked.words.batching is not None and asked.case.engine.batching in ("continuous", "in-flight"):
        return [Change(replace(asked.words, batching=None), f"without --batching {asked.words.batching}")]
    return [with_engine(asked, PAGED_ENGINE)]


@technique
def chunked_prefill(asked: Asked) -> Tried:
    """Prompts in pieces that share steps with decoding."""
    if asked.case.batching == "in-flight":
        return f"{ON}: prompts come in chunks of {int(plain(asked.case.max_num_batched_tokens)):,} tokens"
    if asked.case.engine.kv_layout != "paged":
        return f"{asked.case.engine.title} does not support it"
    return tries(asked)


@technique
def prefix_caching(asked: Asked) -> Tried:
    """Beginnings that prompts share computed once."""
    rate = float(plain(asked.case.workload.prefix_cache_hit_rate))
    if asked.case.engine.kv_layout == "growing":
        return f"{asked.case.engine.title} does not support it"
    return tries(asked, f"{ON}: {rate:.0%} of the prompt tokens are found" if rate else "")


@technique
def result_cache(asked: Asked) -> Tried:
    """Answers stored and given again, without the engine."""
    reached = 1 - asked.technique.repeated
    words = asked.words
    if words.request_rate is not None:
        words = replace(words, request_rate=float(words.request_rate) * reached)
    return [Change(words, f"{asked.technique.repeated:.0%} of the requests answered from it", reached=reached)]


@technique
def batch_limits(asked: Asked) -> Tried:
    """Other limits on the tokens and sequences of a step."""
    return list(_limits(asked))


def _limits(asked: Asked) -> Iterator[Change]:
    for word, factors in (("max_num_batched_tokens", TOKEN_FACTORS), ("max_num_seqs", SEQUENCE_FACTORS)):
        now = int(plain(getattr(asked.case, word)))
        for value in (max(int(now * factor), 1) for factor in factors if now):
            yield Change(changed(asked.words, word, value), flag_of(word, value))


@technique
def larger_batch(asked: Asked) -> Tried:
    """The same users on fewer replicas: more requests at once on each."""
    if asked.words.request_rate is not None:
        return "the request rate sets the batch: see the load a replica bears"
    if asked.words.concurrency == "max":
        return f"{ON}: as many requests run as fit"
    now = int(plain(asked.case.concurrency)) if asked.case.concurrency is not None else 1
    most = int(min(plain(asked.estimate.memory.running_sequences), plain(asked.case.max_num_seqs)))
    wanted = [now * factor for factor in BATCH_FACTORS if now * factor <= most]
    if not wanted:
        return f"no more than {most:,} requests run at once"
    return [Change(replace(asked.words, concurrency=value), flag_of("concurrency", value)) for value in wanted]


@technique
def ngram_speculation(asked: Asked) -> Tried:
    """Tokens guessed from what the prompt said before, and verified together."""
    return _speculation(asked, [{"method": "ngram"}])


@technique
def draft_speculation(asked: Asked) -> Tried:
    """Tokens guessed by a small model or modules of the model itself, and verified together."""
    methods = [{"method": "mtp"}] if asked.case.model.mtp is not None else []
    return _speculation(
        asked, [*methods, {"method": "eagle3"}, *({"method": "draft", "model": name} for name in _drafts(asked))]
    )


def _speculation(asked: Asked, methods: Sequence[dict[str, str]]) -> Tried:
    if asked.case.draft is not None:
        return f"{ON}: {asked.case.draft.method}"
    return [
        Change(
            replace(asked.words, speculative={**method, "num_speculative_tokens": tokens}),
            f"--speculative {':'.join([*method.values(), str(tokens)])}",
        )
        for method in methods
        for tokens in GUESSES
    ]


def _drafts(asked: Asked) -> list[str]:
    """The smallest model of the publisher with the same vocabulary, where it is small enough."""
    model, found = asked.case.model, []
    for name in asked.catalog.names("models"):
        if name.split("/")[0] == model.id.split("/")[0] and name != model.id:
            other = asked.catalog.model(name)
            if other.vocab_size == model.vocab_size and not other.encoder_tokens:
                found.append((float(plain(total_parameters(other))), name))
    size = float(plain(total_parameters(model)))
    return [name for parameters, name in sorted(found)[:1] if parameters <= DRAFT_SHARE * size]


@technique
def another_engine(asked: Asked) -> Tried:
    """The other servers, each with its own defaults."""
    return [with_engine(asked, name) for name in SERVERS if name != asked.case.engine.id]


@technique
def kernel_fusion(asked: Asked) -> Tried:
    """Kernels joined so that values stay on the chip."""
    if not asked.words.fused_kernels:
        return tries(asked)
    if asked.case.engine.captures_graphs:
        return f"{ON}: {asked.case.engine.title}'s own kernels are fused, and its times were measured with them"
    return [with_engine(asked, "torch")]


@technique
def cuda_graphs(asked: Asked) -> Tried:
    """Steps recorded once and replayed without launching kernel after kernel."""
    if not asked.case.engine.captures_graphs:
        return f"{asked.case.engine.title} does not support them: see another engine"
    return tries(asked, "" if asked.case.enforce_eager else ON)


@technique
def flash_attention(asked: Asked) -> Tried:
    """Attention that never writes its scores to memory."""
    return tries(asked, ON if asked.case.flash_attention else "")


@technique
def flash_decoding(asked: Asked) -> Tried:
    """Attention of one token divided over the whole device along the context."""
    return tries(asked, ON if asked.case.flash_decoding else "")
