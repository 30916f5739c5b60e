"""The limits an engine runs under: lengths, batches, memory fraction, load; each with its source."""

from __future__ import annotations

from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.explain import QUESTION, Provenance, Source
from llmsizer.formulas.budget import dynamic_reserve
from llmsizer.question.words import LARGEST_LENGTH, Words, checked_choice, checked_fraction, checked_integer
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Parallel, Workload
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model
from llmsizer.sizing.lengths import longest_request
from llmsizer.sizing.memory import LONGEST

BATCHING = ("static", "dynamic", "continuous", "in-flight")


def limits_of(
    words: Words, model: Model, engine: EngineProfile, accelerator: Accelerator, parallel: Parallel, workload: Workload
) -> dict[str, Any]:
    """The engine's limits for this run, each with its source."""
    found: dict[str, Source] = {}
    length, len_from = _length(words, model, engine, workload)
    concurrency = concurrency_of(words)
    sequences = _or_default(words.max_num_seqs, "max_num_seqs", engine, found)
    if engine.kv_layout != "paged" and words.max_num_seqs is None and concurrency is not None:
        sequences, found["max_num_seqs"] = concurrency, QUESTION
    tokens = _batched_tokens(words, engine, length, found)
    block = _or_default(words.block_size, "block_size", engine, found)
    found["max_model_len"] = QUESTION if len_from == "user" else Source(f"set by the {len_from}")
    fraction = _fraction(words, engine, accelerator, parallel, tokens, found)
    return {
        "max_model_len": length, "len_from": len_from, "max_num_seqs": min(sequences, tokens) if tokens else sequences,
        "max_num_batched_tokens": tokens, "block_size": block, "memory_fraction": fraction,
        "concurrency": concurrency, "provenance": Provenance(QUESTION, found),
    }  # fmt: skip


def _or_default(given: Any, name: str, engine: EngineProfile, found: dict[str, Source]) -> int:
    if given is not None:
        found[name] = QUESTION
        return checked_integer(name, given)
    found[name] = engine.provenance.of(name)
    return int(getattr(engine, name))


def _length(words: Words, model: Model, engine: EngineProfile, workload: Workload) -> tuple[int, str]:
    if words.max_model_len is not None:
        length = checked_integer("max_model_len", words.max_model_len, most=LARGEST_LENGTH)
        most = model.max_position_embeddings
        if most is not None and length > most:
            raise InvalidQuestion(
                f"--max-model-len {length:,}: {model.id} allows at most {most:,} positions", f"use {most:,} or less"
            )
        return length, "user"
    wanted = longest_request(workload)
    if engine.kv_layout != "paged":
        return wanted, "workload"
    return model.max_position_embeddings or max(wanted, 32768), "model"


def _batched_tokens(words: Words, engine: EngineProfile, length: int, found: dict[str, Source]) -> int:
    if words.max_num_batched_tokens is not None:
        found["max_num_batched_tokens"] = QUESTION
        return checked_integer("max_num_batched_tokens", words.max_num_batched_tokens, most=LARGEST_LENGTH)
    found["max_num_batched_tokens"] = engine.provenance.of("max_num_batched_tokens")
    default = int(engine.max_num_batched_tokens)
    above = engine.chunked_prefill_above
    if engine.chunked_prefill or not default or (above is not None and length > above):
        return default
    return max(default, min(length, LONGEST))


def _fraction(
    words: Words,
    engine: EngineProfile,
    accelerator: Accelerator,
    parallel: Parallel,
    tokens: int,
    found: dict[str, Source],
) -> float:
    if words.gpu_memory_utilization is not None:
        found["memory_fraction"] = QUESTION
        return checked_fraction("gpu_memory_utilization", words.gpu_memory_utilization, 0.01, 1.0)
    found["memory_fraction"] = engine.provenance.of("memory_fraction")
    if not engine.memory_tiers:
        return float(engine.memory_fraction)
    return static_fraction(engine, accelerator, parallel, tokens)


def static_fraction(engine: EngineProfile, accelerator: Accelerator, parallel: Parallel, tokens: int) -> float:
    """SGLang's default static fraction on a device."""
    total = float(accelerator.driver_memory or accelerator.usable_memory) / 2**20
    tier: dict[str, Any] = next(
        (dict(tier) for tier in engine.memory_tiers if total < float(str(tier["under_mib"]))),
        dict(engine.memory_tiers[-1]),
    )
    batch = tier["graph_batch_large_tp"] if parallel.tensor_parallel_size >= 4 else tier["graph_batch"]
    attention_dp = batch if parallel.data_parallel_size > 1 else 0
    devices = parallel.tensor_parallel_size * parallel.pipeline_parallel_size
    least = 10240.0 if total > 60 * 1024 else 0.0
    reserve = float(dynamic_reserve(tokens or tier["chunked_prefill"], batch, devices, attention_dp, least)) / 2**20
    return round(max(total - reserve, 0.05 * total) / total, 3)


def prompts_of(words: Words) -> int | None:
    """Requests of a finite run; None for a steady state."""
    return None if words.num_prompts is None else checked_integer("num_prompts", words.num_prompts, most=LARGEST_LENGTH)


def seconds_of(words: Words, name: str) -> float:
    """A time that a question gives in seconds."""
    return checked_fraction(name.removesuffix("_seconds"), getattr(words, name), most=1e6)


def think_of(words: Words) -> float:
    """The mean pause of a user, which only a closed loop has."""
    think = seconds_of(words, "think_seconds")
    if think and words.request_rate is not None:
        raise InvalidQuestion(
            "think and request_rate exclude each other", "only the users of a closed loop (concurrency) pause"
        )
    return think


def batching_of(words: Words, engine: EngineProfile) -> str:
    """How requests share steps: the engine's own way where none is named."""
    if words.batching is None:
        return engine.batching
    return checked_choice("batching", str(words.batching), BATCHING)


def check_length(words: Words, model: Model, workload: Workload, limits: dict[str, Any]) -> None:
    """Refuses a workload longer than the engine's or the model's length."""
    needed = longest_request(workload)
    most = limits["max_model_len"]
    if needed > most and limits["len_from"] != "workload":
        prompt = "a prompt of" if words.input_tokens is None else "--input-tokens"
        answer = "an answer of" if words.output_tokens is None else "--output-tokens"
        given = f"{prompt} {workload.input_tokens:,.0f} and {answer} {workload.output_tokens:,.0f}"
        if workload.spread is not None:
            given = f"requests of up to {needed:,} tokens"
        raise InvalidQuestion(
            f"{given} exceed the length of {most:,} tokens",
            f"{model.id} allows {model.max_position_embeddings:,} positions" if model.max_position_embeddings else "",
        )


def concurrency_of(words: Words) -> int | None:
    """The requests in flight that a question asks for; None without a number."""
    if words.concurrency is None or words.concurrency == "max":
        return None
    if isinstance(words.concurrency, str) and not words.concurrency.lstrip("-").isdigit():
        raise InvalidQuestion(f"--concurrency: expected a number or 'max', got '{words.concurrency[:40]}'")
    return checked_integer("concurrency", words.concurrency)
