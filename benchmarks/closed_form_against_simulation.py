"""The closed form against the simulation of the same engine and traffic, on random cases.

Both take their step times from one place, so that only queueing and batching are compared. Cases are
deployments, policies, lengths and loads drawn at random, seeded; utilisation is the request rate over
the highest that the engine keeps up with. Prints medians, tails and the worst cases for each figure.

Users of a closed loop whose requests are exactly alike are a group of their own: in a simulation they gather
behind one another for ever (docs/traffic.md, "Users in step"), which measured runs do not show.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain

DEPLOYMENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("llama-3.1-8b", "h100", {}),
    ("llama-3.1-8b", "l40s", {"quantization": "fp8"}),
    ("llama-3.1-70b", "h200", {"tensor_parallel_size": 4}),
    ("qwen3-30b-a3b", "h100", {}),
    ("qwen3-32b", "b200", {}),
    ("gemma-3-27b", "a100", {"tensor_parallel_size": 2}),
    ("gpt-oss-120b", "h100", {"tensor_parallel_size": 2}),
    ("deepseek-v3", "h200", {"tensor_parallel_size": 8}),
)
POLICIES = ("in-flight", "continuous", "static", "dynamic")
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128)
BARS = {"rate": 0.03, "tpot": 0.05, "ttft": 0.15, "ttft p95": 0.25, "tpot p95": 0.25, "e2e p95": 0.25}
BUSY = 0.85


@dataclass(frozen=True)
class Difference:
    """One case: its words, its utilisation, and closed form over simulation less one for each figure."""

    words: dict[str, Any]
    utilisation: float
    figures: dict[str, float]

    @property
    def users_are_alike(self) -> bool:
        """Whether several users send requests of one length to an engine that batches step by step."""
        alike = all(isinstance(self.words[name], int) for name in ("input_tokens", "output_tokens"))
        return alike and self.words.get("concurrency", 1) > 1 and self.words["batching"] in ("in-flight", "continuous")


def random_words(draw: random.Random, catalog: Catalog) -> tuple[dict[str, Any], float]:
    """A deployment under a load, and the highest request rate that it holds."""
    model, hardware, split = draw.choice(DEPLOYMENTS)
    prompt, answer = round(2 ** draw.uniform(7, 12.5)), round(2 ** draw.uniform(5, 10))
    law = draw.choice(["fixed", "narrow", "wide", "lognormal"])
    words: dict[str, Any] = {
        "model": model, "hardware": hardware, **split, "batching": draw.choice(POLICIES), "max_model_len": 16384,
        "input_tokens": lengths(law, prompt), "output_tokens": lengths(law, answer),
    }  # fmt: skip
    if words["batching"] == "dynamic":
        words["batch_window_seconds"] = draw.choice([0.05, 0.2, 1.0])
    highest = _rate(words | {"concurrency": "max"}, catalog)
    if draw.random() < 0.5:
        words["concurrency"] = draw.choice(CONCURRENCIES)
    else:
        words["request_rate"] = float(f"{draw.uniform(0.05, 0.85) * highest:.3g}")
    return words, highest


def lengths(law: str, mean: int) -> int | str:
    """A length of a law and mean in words."""
    if law == "lognormal":
        return f"lognormal:{mean}:0.6:{8 * mean if mean < 900 else 7200}"
    low, high = {"fixed": (1.0, 1.0), "narrow": (0.8, 1.0), "wide": (0.3, 1.7)}[law]
    return mean if law == "fixed" else f"{max(int(low * mean), 2)}..{int(high * mean)}"


def _rate(words: dict[str, Any], catalog: Catalog) -> float:
    found = llmsizer.estimate(catalog=catalog, **words).throughput
    assert found is not None
    return float(plain(found.requests_per_second))


def compared(words: dict[str, Any], highest: float, prompts: int, catalog: Catalog) -> Difference | None:
    """The differences of one case; None where the load is more than the engine holds."""
    estimate = llmsizer.estimate(catalog=catalog, **words)
    speed = estimate.speed
    if speed is None or float(plain(speed.waiting)) == float("inf"):
        return None
    count = max(prompts, 20 * words.get("concurrency", 1))
    steady = llmsizer.simulate(**words, num_prompts=count, seed=1, catalog=catalog).steady()
    if steady is None:
        return None
    rate, times = float(plain(speed.throughput.requests_per_second)), speed.latency
    # the number of arrivals of an open loop is drawn: only its mean is the rate
    figures = {"rate": rate / (steady.requests_per_second if "concurrency" in words else words["request_rate"]) - 1}
    for name in ("tpot", "ttft", "e2e"):
        spread = getattr(steady, name)
        for label, simulated in ((name, spread.mean), (f"{name} p95", spread.p95)):
            figures[label] = float(plain(getattr(times, label.replace(" ", "_") + "_seconds"))) / simulated - 1
    return Difference(words, rate / highest, figures)


def differences(count: int, seed: int, prompts: int) -> list[Difference]:
    """So many comparable random cases."""
    draw, catalog = random.Random(seed), llmsizer.load_catalog()
    found: list[Difference] = []
    while len(found) < count:
        try:
            one = compared(*random_words(draw, catalog), prompts, catalog)
        except LlmsizerError:
            continue
        if one is not None:
            found.append(one)
    return found


def summary(found: Sequence[Difference], worst: int) -> list[str]:
    """Lines that tell medians, tails and worst cases of every figure."""
    lines = []
    for name, bar in BARS.items():
        sizes = sorted((abs(each.figures[name]), index) for index, each in enumerate(found))
        values = [size for size, _ in sizes]
        inside = sum(value <= bar for value in values)
        lines.append(
            f"{name:9s} median {median(values):6.1%}  p90 {values[int(0.9 * len(values))]:6.1%}  max {values[-1]:7.1%}"
            f"  within {bar:.0%}: {inside} of {len(values)}"
        )
        for _, index in reversed(sizes[len(sizes) - worst :]):
            each = found[index]
            text = " ".join(f"{key}={value}" for key, value in each.words.items() if key != "max_model_len")
            lines.append(f"    {each.figures[name]:+7.1%} at {each.utilisation:4.0%}: {text}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200, help="random cases below 85 %% utilisation and above together")
    parser.add_argument("--prompts", type=int, default=2500, help="requests of each simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worst", type=int, default=3, help="worst cases to print for each figure")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = differences(options.cases, options.seed, options.prompts)
    if options.json:
        print(json.dumps([{"words": f.words, "utilisation": f.utilisation, "figures": f.figures} for f in found], indent=1))
        return
    below = [each for each in found if each.utilisation < BUSY]
    for title, chosen in (
        (f"below {BUSY:.0%} utilisation", [each for each in below if not each.users_are_alike]),
        (f"below {BUSY:.0%} utilisation, users exactly alike", [each for each in below if each.users_are_alike]),
        (f"from {BUSY:.0%}", [each for each in found if each.utilisation >= BUSY]),
    ):
        print(f"{len(chosen)} cases {title}")
        print("\n".join(summary(chosen, options.worst)) if chosen else "")


if __name__ == "__main__":
    main()
