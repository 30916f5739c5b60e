"""The closed form of disaggregated pools against their simulation, on random cases below 80 % of what they bear."""

from __future__ import annotations

import argparse
import random
from typing import Any

from closed_form_against_simulation import DEPLOYMENTS, lengths

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.simulation.asked import Asked, pools_of, simulate_question

BARS = {"rate": 0.03, "tpot": 0.05, "ttft": 0.15}


def random_pools(draw: random.Random, catalog: Catalog) -> tuple[dict[str, Any], Asked]:
    """Two pools under a rate, or a number of requests in flight."""
    model, hardware, split = draw.choice(DEPLOYMENTS)
    prompt, answer = round(2 ** draw.uniform(7, 12.5)), round(2 ** draw.uniform(5, 10))
    law = draw.choice(["fixed", "narrow", "wide", "lognormal"])
    words = {"model": model, "hardware": hardware, **split, "max_model_len": 16384,
             "input_tokens": lengths(law, prompt), "output_tokens": lengths(law, answer)}  # fmt: skip
    asked = Asked(num_prompts=3000, seed=1, prefill_replicas=draw.choice([1, 1, 2, 4]), decode_replicas=draw.choice([1, 2, 4]))
    if draw.random() < 0.4:
        return words | {"concurrency": draw.choice([4, 16, 64])}, asked
    highest = float(plain(pools_of(resolve(Words(**words, request_rate=1e-3), catalog).case, asked).highest_rate))
    return words | {"request_rate": float(f"{draw.uniform(0.05, 0.8) * highest:.3g}")}, asked


def compared(words: dict[str, Any], asked: Asked, catalog: Catalog) -> dict[str, float] | None:
    """Closed form over simulation less one; None where the run has no steady part."""
    question = Words(**words)
    found = pools_of(resolve(question, catalog).case, asked)
    steady = simulate_question(question, asked, catalog)[0].steady()
    if steady is None or steady.tpot is None or steady.ttft is None:
        return None
    return {
        "rate": float(plain(found.rate)) / words.get("request_rate", steady.requests_per_second) - 1,
        "tpot": float(plain(found.tpot_seconds)) / steady.tpot.mean - 1,
        "ttft": float(plain(found.ttft_seconds)) / steady.ttft.mean - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw, catalog = random.Random(options.seed), llmsizer.load_catalog()
    rows: list[dict[str, float]] = []
    while len(rows) < options.cases:
        try:
            found = compared(*random_pools(draw, catalog), catalog)
        except LlmsizerError:
            continue
        if found is not None:
            rows.append(found)
    for name, bar in BARS.items():
        sizes = sorted(abs(row[name]) for row in rows)
        inside = sum(size <= bar for size in sizes)
        print(
            f"{name:5s} median {sizes[len(sizes) // 2]:6.1%}  max {sizes[-1]:6.1%}  within {bar:.0%}: {inside} of {len(sizes)}"
        )


if __name__ == "__main__":
    main()
