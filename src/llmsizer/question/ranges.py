"""Ranges and lists as typed: ``1,2,4..8``, ``128..8192:log8``, ``h100,h200``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.words import Words

WHOLE_WORDS = frozenset({
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "prefill_context_parallel_size",
    "decode_context_parallel_size", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "block_size", "input_tokens", "output_tokens", "concurrency",
})  # fmt: skip
REAL_WORDS = frozenset({"gpu_memory_utilization", "request_rate", "prefix_cache_hit_rate"})
NAME_WORDS = frozenset({"model", "hardware", "quantization", "dtype", "kv_cache_dtype", "engine", "batching", "calibration"})
LONGEST_LIST = 1_000_000
HINT = "a list of numbers and ranges: 1,2,4..8 or 0..100:10 (step) or 128..8192:log8 (8 points, equal ratios) or 1..256:x2"


def expanded(words: Words) -> dict[str, Any]:
    """The words of a question with their lists and ranges as tuples; what was left out stays out."""
    found: dict[str, Any] = {}
    for name, field in Words.__dataclass_fields__.items():
        given = getattr(words, name)
        if given is field.default:
            continue
        if isinstance(given, str) and name in WHOLE_WORDS | REAL_WORDS | NAME_WORDS:
            values = names_in(name, given) if name in NAME_WORDS else numbers_in(name, given)
            found[name] = values if len(values) > 1 else values[0]
        else:
            found[name] = given
    return found


def names_in(name: str, text: str) -> tuple[str, ...]:
    """The names of a comma list.

    >>> names_in("hardware", "h100, h200")
    ('h100', 'h200')
    """
    values = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    return values or (text,)


def numbers_in(name: str, text: str) -> tuple[Any, ...]:
    """The numbers of a list of numbers and ranges, each once; other text (``max``) as it is.

    >>> numbers_in("concurrency", "1,2,4..6,max")
    (1, 2, 4, 5, 6, 'max')
    >>> numbers_in("input_tokens", "128..8192:log4")
    (128, 512, 2048, 8192)
    >>> numbers_in("request_rate", "0.5..2:0.5")
    (0.5, 1.0, 1.5, 2.0)
    """
    found: dict[Any, None] = {}
    for part in text.split(","):
        for value in _range(name, part.strip()) if ".." in part else [_single(name, part.strip())]:
            found[value] = None
            if len(found) > LONGEST_LIST:
                raise InvalidQuestion(f"{_flag(name)}: '{part[:40]}' has too many numbers", f"at most {LONGEST_LIST:,}")
    return tuple(found)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _single(name: str, text: str) -> Any:
    """A number where the text is one; the question's own checks word what is wrong with any other."""
    try:
        number = float(text)
    except ValueError:
        return text
    whole = name in WHOLE_WORDS and number.is_integer()
    return int(number) if whole else number


def _range(name: str, text: str) -> Iterator[Any]:
    bounds, _, how = text.partition(":")
    try:
        low, high = (float(each) for each in bounds.split(".."))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(text)
        made = _spread(low, high, how)
    except ValueError:
        raise InvalidQuestion(f"{_flag(name)}: '{text[:40]}' is no range", HINT) from None
    if high < low:
        raise InvalidQuestion(f"{_flag(name)}: the range '{text[:40]}' must rise", HINT)
    for value in made:
        yield round(value) if name in WHOLE_WORDS else value


def _spread(low: float, high: float, how: str) -> Iterator[float]:
    """The numbers of a range; ValueError for a rule that is none."""
    if how.startswith("log"):
        count = int(how[3:])
        if low <= 0 or not 2 <= count <= LONGEST_LIST:
            raise ValueError(how)
        return (low * (high / low) ** (index / (count - 1)) for index in range(count))
    if how.startswith("x"):
        factor = float(how[1:])
        if low <= 0 or factor <= 1:
            raise ValueError(how)
        return (low * factor**index for index in range(math.floor(math.log(high / low) / math.log(factor) + 1e-9) + 1))
    step = float(how) if how else 1.0
    if not step > 0 or not math.isfinite(step):
        raise ValueError(how)
    return (round(low + index * step, 12) for index in range(math.floor((high - low) / step + 1e-9) + 1))
