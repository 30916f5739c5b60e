"""The traffic of a question: its lengths, and what a ``Traffic`` says in the words' stead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.lengths import lengths_of
from llmsizer.question.words import LARGEST_LENGTH, Words, checked_fraction, checked_integer
from llmsizer.schema.deployment import Workload
from llmsizer.schema.lengths import Fixed
from llmsizer.schema.model import Model
from llmsizer.schema.moments import moments, spread_of
from llmsizer.schema.workload import ClosedLoop, HitRate, OpenLoop, RequestClass, Traffic

DEFAULT_INPUT, DEFAULT_OUTPUT = 1024, 256
# What a Traffic says itself.
SAID_BY_TRAFFIC = ("input_tokens", "output_tokens", "concurrency", "request_rate")


def with_traffic(words: Words) -> Words:
    """The words with the load of their ``workload``, where they have one."""
    traffic = words.workload
    if traffic is None:
        return words
    if not isinstance(traffic, Traffic):
        raise InvalidQuestion(f"workload: expected a Traffic, got {traffic!r:.40}")
    given = [name for name in SAID_BY_TRAFFIC if getattr(words, name) is not None]
    if given:
        raise InvalidQuestion(f"workload and {given[0]}: the workload says it already", f"leave {given[0]} out")
    return replace(words, prefix_cache_hit_rate=words.prefix_cache_hit_rate or hit_rate_of(traffic), **_load(traffic))


def _load(traffic: Traffic) -> dict[str, Any]:
    arrivals = traffic.arrivals
    if isinstance(arrivals, ClosedLoop):
        return {"concurrency": arrivals.concurrency, "think_seconds": float(arrivals.think_seconds)}
    if isinstance(arrivals, OpenLoop):
        return {"request_rate": arrivals.requests_per_second * (1 - traffic.result_cache_hit_rate),
                "concurrency": arrivals.max_concurrency}  # fmt: skip
    assert traffic.trace is not None
    rate = traffic.trace.requests_per_second * arrivals.speed * (1 - traffic.result_cache_hit_rate)
    return {"request_rate": rate, "concurrency": arrivals.max_concurrency}


def hit_rate_of(traffic: Traffic) -> float:
    """The share of the prompt tokens that classes say is found cached."""
    means = [float(kind.input_tokens.mean()) for kind in traffic.classes]
    rates = [float(kind.sharing.rate) if isinstance(kind.sharing, HitRate) else 0.0 for kind in traffic.classes]
    tokens = [share * mean for share, mean in zip(traffic.shares(), means, strict=True)]
    return sum(rate * each for rate, each in zip(rates, tokens, strict=True)) / sum(tokens)


def workload_of(words: Words, model: Model) -> Workload:
    """The lengths of a question, where none are given what the model allows."""
    hits = checked_fraction("prefix_cache_hit_rate", words.prefix_cache_hit_rate)
    if words.workload is not None:
        return _spread_workload(words.workload, hits)
    longest = model.max_position_embeddings or LARGEST_LENGTH
    if words.max_model_len is not None:
        longest = min(longest, checked_integer("max_model_len", words.max_model_len, most=LARGEST_LENGTH))
    output = words.output_tokens if words.output_tokens is not None else max(1, min(DEFAULT_OUTPUT, longest // 5))
    answers = lengths_of("output_tokens", output)
    room = round(float(answers.mean()))
    given = words.input_tokens if words.input_tokens is not None else max(1, min(DEFAULT_INPUT, longest - room))
    prompts = lengths_of("input_tokens", given)
    if isinstance(prompts, Fixed) and isinstance(answers, Fixed):
        return Workload(input_tokens=prompts.tokens, output_tokens=answers.tokens, prefix_cache_hit_rate=hits)
    kind = RequestClass(input_tokens=prompts, output_tokens=answers)
    return _spread_workload(Traffic(arrivals=ClosedLoop(concurrency=1), classes=(kind,)), hits)


def _spread_workload(traffic: Traffic, hits: float) -> Workload:
    found = moments(traffic)
    return Workload(
        input_tokens=float(found.input_mean), output_tokens=float(found.output_mean), prefix_cache_hit_rate=hits,
        spread=spread_of(traffic),
    )  # fmt: skip
