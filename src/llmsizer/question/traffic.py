"""The traffic of a question: its lengths, and what a ``Traffic`` says in the words' stead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.lengths import lengths_of
from llmsizer.question.words import LARGEST_LENGTH, Words, checked_fraction, checked_integer
from llmsizer.schema.deployment import Workload
from llmsizer.schema.lengths import Fixed
from llmsizer.schema.model import Model
from llmsizer.schema.moments import class_moments, marginals, moments, spread_of
from llmsizer.schema.prefixes import Prefixes, SharedPrefix
from llmsizer.schema.promises import Promise
from llmsizer.schema.workload import (
    ClosedLoop,
    Conversation,
    HitRate,
    Mix,
    OpenLoop,
    PrefixGroups,
    RequestClass,
    Targets,
    Traffic,
)

DEFAULT_INPUT, DEFAULT_OUTPUT = 1024, 256
# What classes say of lengths, and what a whole Traffic says of the load besides.
LENGTH_WORDS = ("input_tokens", "output_tokens")
LOAD_WORDS = ("concurrency", "request_rate")


def with_traffic(words: Words) -> Words:
    """The words with the traffic of their ``workload``: a ``Traffic``, or a ``Mix`` under the words' own load."""
    given = words.workload
    if given is None:
        return words
    whole = isinstance(given, Traffic)
    if not whole and not isinstance(given, Mix):
        raise InvalidQuestion(f"workload: expected a Traffic or a Mix of classes, got {given!r:.40}")
    twice = [name for name in (*LENGTH_WORDS, *(LOAD_WORDS if whole else ())) if getattr(words, name) is not None]
    if twice:
        raise InvalidQuestion(f"workload and {twice[0]}: the workload says it already", f"leave {twice[0]} out")
    traffic = given if whole else Traffic(arrivals=ClosedLoop(concurrency=1), classes=given.classes)
    return replace(words, workload=traffic, **(_load(traffic) if whole else {}))


def _load(traffic: Traffic) -> dict[str, Any]:
    """Requests answered from stored results never reach the engine."""
    arrivals, reach = traffic.arrivals, 1 - traffic.result_cache_hit_rate
    if isinstance(arrivals, ClosedLoop):
        return {"concurrency": arrivals.concurrency, "think_seconds": float(arrivals.think_seconds)}
    if isinstance(arrivals, OpenLoop):
        rate = arrivals.requests_per_second
    else:
        assert traffic.trace is not None
        rate = traffic.trace.requests_per_second * arrivals.speed
    return {"request_rate": rate * reach, "concurrency": arrivals.max_concurrency}


def hit_rate_of(traffic: Traffic) -> float:
    """The share of the prompt tokens that is found cached while every shared prefix stays in the cache."""
    return _rate_over(traffic, _hits)


def prefixes_of(traffic: Traffic) -> Prefixes | None:
    """What the prompts share by name; None where no class has prefixes."""
    classes = tuple(
        SharedPrefix(kind.sharing, share, kind.pairs.marginals()[0] if kind.pairs else kind.input_tokens)
        for kind, share in zip(traffic.classes, traffic.request_shares(), strict=True)
        if isinstance(kind.sharing, PrefixGroups)
    )
    if not classes:
        return None
    always = _rate_over(traffic, lambda kind, prompt: 0.0 if isinstance(kind.sharing, PrefixGroups) else _hits(kind, prompt))
    return Prefixes(classes, always)


def _rate_over(traffic: Traffic, rate: Callable[[RequestClass, float], float]) -> float:
    """The mean over prompt tokens of a share that each class has."""
    found = [class_moments(kind) for kind in traffic.classes]
    tokens = [share * float(moment.input_mean) for share, moment in zip(traffic.request_shares(), found, strict=True)]
    rates = [rate(kind, float(moment.input_mean)) for kind, moment in zip(traffic.classes, found, strict=True)]
    return sum(each_rate * each for each_rate, each in zip(rates, tokens, strict=True)) / sum(tokens)


def _hits(kind: RequestClass, prompt: float) -> float:
    sharing = kind.sharing
    if isinstance(sharing, HitRate):
        return float(sharing.rate)
    if isinstance(sharing, PrefixGroups):
        return min(float(sharing.tokens) / prompt, 1.0)
    if isinstance(sharing, Conversation):
        return 1.0 - float(kind.input_tokens.mean()) / prompt
    return 0.0


def workload_of(words: Words, model: Model) -> Workload:
    """The lengths of a question, where none are given what the model allows."""
    hits = checked_fraction("prefix_cache_hit_rate", words.prefix_cache_hit_rate)
    if words.workload is not None:
        return _workload_of_classes(words.workload, hits)
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


def _workload_of_classes(traffic: Traffic, hits: float) -> Workload:
    """Lengths, prefixes and targets of classes; a hit rate that is given stands for whatever they share."""
    found = replace(_spread_workload(traffic, hits or hit_rate_of(traffic)), promises=promises_of(traffic))
    return found if hits else replace(found, prefixes=prefixes_of(traffic))


def promises_of(traffic: Traffic) -> tuple[Promise, ...]:
    """What the requests of each class are promised; empty where no class has targets."""
    if all(kind.targets is None for kind in traffic.classes) or traffic.trace is not None:
        return ()
    return tuple(
        Promise(
            kind.name,
            share,
            kind.targets or Targets(),
            *marginals(Traffic(arrivals=traffic.arrivals, classes=(kind,))),
        )
        for kind, share in zip(traffic.classes, traffic.request_shares(), strict=True)
    )


def answers_one_token(words: Words) -> bool:
    """Whether every answer is asked to be one token, so that no further token is ever timed."""
    if words.workload is not None:
        return all(kind.output_tokens == Fixed(1) for kind in words.workload.classes)
    return words.output_tokens is not None and lengths_of("output_tokens", words.output_tokens) == Fixed(1)


def _spread_workload(traffic: Traffic, hits: float) -> Workload:
    found = moments(traffic)
    return Workload(
        input_tokens=float(found.input_mean), output_tokens=float(found.output_mean), prefix_cache_hit_rate=hits,
        spread=spread_of(traffic),
    )  # fmt: skip
