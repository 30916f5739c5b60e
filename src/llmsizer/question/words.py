"""The words of a question as typed, and the checks each must pass before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.written import READERS
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.model import Model

LARGEST_LENGTH = 100_000_000
LARGEST_COUNT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A question as typed; ``None`` means: the engine's own default.

    ``speculative``, ``adapters`` and ``offload`` may be written in one piece, as on the command line.
    """

    model: str | Path | Model
    hardware: str | Accelerator
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    enable_expert_parallel: bool = False
    prefill_context_parallel_size: int = 1
    decode_context_parallel_size: int = 1
    quantization: str | None = None
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    engine: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    block_size: int | None = None
    enforce_eager: bool = False
    use_cache: bool = True
    flash_attention: bool | None = None
    flash_decoding: bool = True
    fused_kernels: bool = True
    batching: str | None = None
    input_tokens: Any = None
    output_tokens: Any = None
    workload: Any = None
    think_seconds: float = 0.0
    batch_window_seconds: float = 0.0
    concurrency: int | str | None = None
    request_rate: float | None = None
    num_prompts: int | None = None
    prefix_cache_hit_rate: float = 0.0
    speculative: Mapping[str, Any] | None = None
    adapters: Mapping[str, Any] | None = None
    offload: Mapping[str, Any] | None = None
    price: Any = None
    price_date: str | None = None
    extras: Any = None
    emissions: str | float | None = None
    calibration: str = "auto"
    expert_skew: float | None = None
    ignore_memory: bool = False
    transform: str | None = None

    def __post_init__(self) -> None:
        for name, read in READERS.items():
            written = getattr(self, name)
            if isinstance(written, str):
                object.__setattr__(self, name, read(written) if written else None)


def checked_integer(name: str, value: Any, least: int = 1, most: int = LARGEST_COUNT) -> int:
    """A whole number within bounds; InvalidQuestion names the word otherwise."""
    flag = _flag(name)
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise InvalidQuestion(f"{flag}: expected a whole number, got {value!r:.40}")
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidQuestion(f"{flag}: expected a whole number, got {value!r:.40}") from None
    if not least <= number <= most:
        raise InvalidQuestion(f"{flag}: expected a number from {least:,} to {most:,}, got {brief(number)}")
    return number


def checked_fraction(name: str, value: Any, least: float = 0.0, most: float = 1.0) -> float:
    """A fraction within bounds."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidQuestion(f"{_flag(name)}: expected a number, got {value!r:.40}") from None
    if not (math.isfinite(number) and least <= number <= most):
        raise InvalidQuestion(f"{_flag(name)}: expected a number from {least:g} to {most:g}, got {number:g}")
    return number


def checked_choice(name: str, value: str, known: Sequence[str]) -> str:
    """One of a few words."""
    from llmsizer.core.errors import nearest

    if value in known:
        return value
    near = nearest(str(value), known)
    hint = f"Did you mean: {', '.join(near)}?" if near else f"known: {', '.join(known)}"
    raise InvalidQuestion(f"{_flag(name)}: '{str(value)[:40]}' is not known", hint)


def checked_mapping(name: str, given: Any, known: set[str]) -> dict[str, Any]:
    """A mapping whose keys are all known."""
    from llmsizer.core.errors import nearest

    if not hasattr(given, "items"):
        raise InvalidQuestion(f"--{name}: expected a mapping, got {given!r:.40}", f"keys: {', '.join(sorted(known))}")
    for key in given:
        if key not in known:
            near = nearest(str(key), known)
            hint = f"Did you mean: {', '.join(near) or ', '.join(sorted(known))}?"
            raise InvalidQuestion(f"--{name}: '{str(key)[:40]}' is not known", hint)
    return dict(given)


def brief(number: float) -> str:
    """A number short enough for a message."""
    return f"{number:,}" if abs(number) < 10**15 else "a number far beyond that"


def _flag(name: str) -> str:
    return name if name.startswith("-") else f"--{name.replace('_', '-')}"
