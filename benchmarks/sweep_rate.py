"""How many step times and whole serving estimates a second one thread gives, and the memory that takes.

Processor time of this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from peak_memory import resident_mebibytes
from timing import figure, report, seconds_of

import llmsizer
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

POINTS = 16_384
CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("llama-3.1-8b", "h100", {}),
    ("llama-3.1-70b", "h100", {"tensor_parallel_size": 4}),
    ("gemma-3-27b", "h100", {}),
    ("deepseek-v3", "h200", {"tensor_parallel_size": 8}),
)
LENGTHS = {"input_tokens": np.unique(np.geomspace(128, 8192, 30).astype(int)), "output_tokens": [64, 256, 1024]}
CONCURRENCY = np.unique(np.geomspace(1, 1000, 500).astype(int))
RATES = np.geomspace(0.1, 100, 200)


def main() -> None:
    catalog = llmsizer.load_catalog()
    figures = []
    for model, hardware, words in CASES:
        clock = StepClock(llmsizer.estimate(model, hardware, catalog=catalog, **words).case)
        batch, context = np.linspace(1, 256, POINTS), np.linspace(100, 8000, POINTS)
        for name, step in (
            ("decode steps", Step(decode_batch=batch, decode_context=context)),
            ("mixed steps", Step(decode_batch=batch, decode_context=context, prefill_tokens=context, prefill_sequences=1.0)),
        ):
            samples = seconds_of(lambda clock=clock, step=step: clock.seconds(step), 20, clock=time.process_time)
            figures.append(figure(f"{model}: {name}", "1/s", [POINTS / each for each in samples], least=1e6))
        for name, load in (("closed loop", {"concurrency": CONCURRENCY}), ("open loop", {"request_rate": RATES})):
            asked = {**LENGTHS, **words, **load}
            count = len(llmsizer.sweep(model, hardware, catalog=catalog, **asked))
            samples = seconds_of(
                lambda model=model, hardware=hardware, asked=asked: llmsizer.sweep(model, hardware, catalog=catalog, **asked),
                5, clock=time.process_time,
            )  # fmt: skip
            figures.append(figure(f"{model}: estimates, {name}", "1/s", [count / each for each in samples], least=1e5))
    figures.append(figure("peak resident memory", "MiB", [resident_mebibytes()], budget=300e6 / 2**20))
    report("Sweeps, one thread", figures)


if __name__ == "__main__":
    main()
