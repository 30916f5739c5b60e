"""How long a plan over every accelerator, split and format takes, and how many candidates that is.

Processor time of this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import time

from timing import figure, report, seconds_of

import llmsizer

LEAST = 20_000
CASES = (("llama-3.1-8b", 16), ("llama-3.1-70b", 16), ("deepseek-v3", 64))


def main() -> None:
    figures = []
    for model, devices in CASES:

        def plan(model: str = model, devices: int = devices) -> llmsizer.Plan:
            return llmsizer.plan(
                model, request_rate=10, targets={"ttft": "1 s", "tpot": "50 ms"}, formats="any", hardware="any",
                cache_formats="auto", most_devices=devices, confirm=False,
            )  # fmt: skip

        tried = plan().candidates.tried
        samples = seconds_of(plan, 3, warm=0, clock=time.process_time)
        name = f"{model}: {tried:,} candidates"
        figures.append(figure(name, "s", samples, budget=2.0 * max(1.0, tried / LEAST)))
    report("Plans", figures)


if __name__ == "__main__":
    main()
