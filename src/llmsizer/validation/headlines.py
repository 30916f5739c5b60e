"""The few figures that say how far estimates may be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmsizer.validation.left_out import KINDS, TPOT, left_out_errors
from llmsizer.validation.statistics import ErrorRow, Summary, summary

# What the figures are of, and the quantities that belong to each.
FIGURES = {
    "size of a checkpoint": ("checkpoint size, 16-bit", "checkpoint size, quantized", "checkpoint size, GGUF"),
    "KV cache pool, of device memory": ("KV pool / device memory",),
    "time per token, batch of 1 to 8": ("latency of a batch of 1 to 8",),
    "time per token under load": ("TPOT under load",),
    "first token, engine idle": ("prefill latency",),
    "first token under load": ("TTFT under load",),
    "throughput of a static batch": ("throughput of a static batch",),
    "throughput at maximum load": ("throughput at maximum load",),
    "llama.cpp, generated tokens/s": ("llama.cpp token generation",),
    "llama.cpp, prompt tokens/s": ("llama.cpp prompt",),
}  # fmt: skip
LEFT_OUT = "time per token, {} never seen"
INTERVALS = "all that have an interval"


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure and its errors; of several quantities together (``is_mixed``) only the intervals mean something."""

    title: str
    summary: Summary
    is_mixed: bool = False


def headlines(errors: Iterable[ErrorRow]) -> list[Headline]:
    """The figures, on rows that set no parameter; the last ones with a device or a model left out of every fit."""
    validating = [error for error in errors if error.role == "validate"]
    chosen = {title: [error for error in validating if error.quantity in names] for title, names in FIGURES.items()}
    for kind in KINDS:
        chosen[LEFT_OUT.format(kind)] = [error for error in left_out_errors(kind) if error.quantity in TPOT]
    chosen[INTERVALS] = [error for error in validating if error.inside is not None]
    return [Headline(title, summary(found, worst=1), title == INTERVALS) for title, found in chosen.items() if found]
