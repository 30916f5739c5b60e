"""Asks several questions at once and sets the answers side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.core.results import Result
from llmsizer.question.ask import ask
from llmsizer.question.sweep import label, values_of
from llmsizer.question.words import Words
from llmsizer.sizing.estimate import Estimate

MOST = 60


@dataclass(frozen=True, slots=True)
class Combination:
    """One of the questions: the ``words`` in which it differs, and its ``estimate`` (None: a ``refusal`` says why)."""

    words: dict[str, str]
    estimate: Estimate | None
    refusal: str = ""

    @property
    def title(self) -> str:
        """The words that tell it apart."""
        return ", ".join(self.words.values()) or "as asked"


def _speed(part: str, name: str) -> Callable[[Estimate], Any]:
    def read(estimate: Estimate) -> Any:
        found = getattr(estimate, part)
        return plain(getattr(found, name)) if found is not None else None

    return read


def _waited(name: str) -> Callable[[Estimate], Any]:
    """A time that the wait in a queue is part of: none where the queue grows without end."""
    read = _speed("latency", name)
    return lambda estimate: None if estimate.speed is None or estimate.speed.is_overloaded else read(estimate)


def _memory(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: plain(getattr(estimate.memory, name))


def _device(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: plain(getattr(estimate.memory.per_gpu, name))


def _cost(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: estimate.cost.to_dict()[name] if estimate.cost is not None else None


# What is compared, by its key in JSON (in SI units).
FIGURES: Mapping[str, Callable[[Estimate], Any]] = {
    "devices": lambda estimate: estimate.question["devices"],
    "fits": lambda estimate: estimate.fits,
    "weights_bytes": _device("weights_bytes"),
    "kv_cache_bytes": _device("kv_cache_bytes"),
    "kv_capacity_tokens": _memory("kv_capacity_tokens"),
    "max_concurrency_at_workload": _memory("max_concurrency_at_workload"),
    "ttft_seconds": _waited("ttft_seconds"),
    "tpot_seconds": _speed("latency", "tpot_seconds"),
    "e2e_seconds": _waited("e2e_seconds"),
    "requests_per_second": _speed("throughput", "requests_per_second"),
    "output_tokens_per_second": _speed("throughput", "output_tokens_per_second"),
    "output_tokens_per_second_per_gpu": _speed("throughput", "output_tokens_per_second_per_gpu"),
    "prefill_bound": _speed("prefill", "bound"),
    "decode_bound": _speed("decode", "bound"),
    "usd_per_hour": _cost("usd_per_hour"),
    "usd_per_million_output_tokens": _cost("usd_per_million_output_tokens"),
    "tier": lambda estimate: estimate.evidence.tier,
}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison(Result):
    """Several estimates side by side: ``combinations``, each with its words and its estimate or why there is none."""

    combinations: tuple[Combination, ...]

    @property
    def any_fits(self) -> bool:
        """Whether at least one of them fits."""
        return any(each.estimate is not None and each.estimate.fits for each in self.combinations)

    def to_dict(self) -> dict[str, Any]:
        """The rows under ``combinations``."""
        return {"combinations": self.to_rows()}

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a combination: its words, its figures, and why there are none."""
        return [
            each.words
            | {key: each.estimate and read(each.estimate) for key, read in FIGURES.items()}
            | {"refused": each.refusal or None}
            for each in self.combinations
        ]

    def __repr__(self) -> str:
        fit = sum(each.estimate is not None and each.estimate.fits for each in self.combinations)
        return f"<Comparison: {len(self.combinations)} side by side, {fit} fit>"


def compare(words: Mapping[str, Any], catalog: Catalog | None = None) -> Comparison:
    """The estimate of every combination of the words' values.

    A combination that cannot run says why, unless none can. Raises an LlmsizerError for a mistake.
    """
    chosen = catalog if catalog is not None else load_catalog()
    varying = {name: values for name, given in words.items() if (values := values_of(name, given)) is not None}
    count = math.prod(len(values) for values in varying.values())
    if count > MOST:
        raise InvalidQuestion(f"{count:,} combinations are too many to compare", f"at most {MOST}; llmsizer sweep takes more")
    found: list[Combination] = []
    refusals: list[UnsupportedCombination | InvalidQuestion] = []
    for values in itertools.product(*varying.values()):
        one = dict(zip(varying, values, strict=True))
        named = _short({name: str(label(value)) for name, value in one.items()})
        try:
            found.append(Combination(named, ask(Words(**{**words, **one}), chosen)))
        except (UnsupportedCombination, InvalidQuestion) as refusal:
            refusals.append(refusal)
            found.append(Combination(named, None, refusal.message))
    if len(refusals) == len(found):
        raise refusals[0]
    return Comparison(tuple(found))


def _short(named: dict[str, str]) -> dict[str, str]:
    """The words with the value of a number beside its name's initials: ``tp 4``, ``c 32``."""
    return {name: f"{INITIALS[name]} {value}" if name in INITIALS else value for name, value in named.items()}


INITIALS = {
    "tensor_parallel_size": "tp", "pipeline_parallel_size": "pp", "data_parallel_size": "dp", "concurrency": "c",
    "request_rate": "rate", "input_tokens": "in", "output_tokens": "out", "max_model_len": "len",
    "max_num_seqs": "seqs", "max_num_batched_tokens": "batched", "gpu_memory_utilization": "util",
    "kv_cache_dtype": "kv", "prefix_cache_hit_rate": "hits", "block_size": "block",
}  # fmt: skip
