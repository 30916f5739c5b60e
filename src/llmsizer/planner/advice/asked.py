"""What a technique is told and what it answers: changed questions to ask, or why there is nothing to try."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.techniques import Technique
from llmsizer.question.words import Words
from llmsizer.schema.deployment import Case
from llmsizer.sizing.estimate import Estimate

ON = "already on"


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The deployment that advice is asked for, and the technique that is tried on it."""

    words: Words
    estimate: Estimate
    catalog: Catalog
    technique: Technique

    @property
    def case(self) -> Case:
        """The case of the deployment."""
        return self.estimate.case


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A changed question. ``flags``: the change as one would type it; ``replicas``: so many stand in for the one
    (each then gets its share of the load); ``reached``: the share of requests that reach the engine."""

    words: Words
    flags: str
    replicas: int = 1
    reached: float = 1.0
    note: str = ""


# A reason in words where there is nothing to try.
Tried: TypeAlias = Sequence[Change] | str
Function: TypeAlias = Callable[[Asked], Tried]
FUNCTIONS: dict[str, Function] = {}


def technique(function: Function) -> Function:
    """Registers a function under its own name, which is the technique's id in ``techniques.yaml``."""
    FUNCTIONS[function.__name__] = function
    return function


def tries(asked: Asked, already: str = "") -> Tried:
    """The changes that the technique's entry lists under ``tries``; ``already``: why there is nothing to change."""
    if already:
        return already
    return [
        Change(changed(asked.words, word, value), flag_of(word, value))
        for word, values in asked.technique.tries.items()
        for value in values
    ]


def flag_of(word: str, value: Any) -> str:
    """A word as it is typed: ``--kv-cache-dtype fp8``.

    >>> flag_of("enforce_eager", False), flag_of("offload", {"weights": 0.25}), flag_of("quantization", "fp8")
    ('without --enforce-eager', '--offload weights=0.25', '-q fp8')
    """
    short = {"quantization": "-q", "engine": "-e", "hardware": "-g", "tensor_parallel_size": "--tp", "concurrency": "-c"}
    flag = short.get(word, f"--{word.replace('_', '-')}")
    if isinstance(value, bool):
        return flag if value else f"without {flag}"
    if hasattr(value, "items"):
        return f"{flag} {','.join(f'{key}={number}' for key, number in value.items())}"
    return f"{flag} {value}"


def changed(words: Words, name: str, value: Any) -> Words:
    """The words with one of them changed."""
    return replace(words, **{name: value})


def is_one_of(name: str, patterns: Iterable[str]) -> bool:
    """Whether a format is among names or patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
