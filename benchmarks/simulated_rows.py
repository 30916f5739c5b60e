"""Measured runs at a fixed concurrency, simulated as they were run: lengths, number of prompts, means.

Every row of ``measurements/speed.yaml`` that names a concurrency is run through the simulation: lengths
uniform between 0.8 and 1.0 of the nominal ones where the row says so, ten prompts for each sequence in
flight where it does not say otherwise, all users at once. Rows faster than their devices are left out.
Means over all requests are compared: the rows do not state their statistic, and those marked fit agree
with simulated means, not with medians. Prints the errors beside those of the closed form.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.question.words import Words
from llmsizer.simulation.asked import Asked, simulate_question
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import (
    PROMPTS_PER_SEQUENCE,
    QUEUE_BOUND_SECONDS,
    Answer,
    answer_of,
    estimate_of,
    is_impossible,
    row_errors,
    words_of,
)
from llmsizer.validation.statistics import percentile


def drawn_words(row: Mapping[str, Any], catalog: Catalog) -> Words:
    """The question of a row with the lengths that were drawn."""
    words = words_of(row, catalog)
    if row.get("lengths") != "0.8-1.0":
        return words
    nominal = {name: int(row["words"][name]) for name in ("input_tokens", "output_tokens")}
    return replace(words, **{name: f"{max(round(0.8 * most), 1)}..{most}" for name, most in nominal.items()})


def simulated(row: Mapping[str, Any], catalog: Catalog) -> Answer:
    """What the simulation of a row measures."""
    concurrency = int(row["concurrency"])
    prompts = int(row.get("num_prompts", PROMPTS_PER_SEQUENCE * concurrency))
    found = simulate_question(drawn_words(row, catalog), Asked(num_prompts=prompts), catalog)[0].summary()
    assert found.ttft is not None
    return Answer(found.ttft.mean, found.tpot.mean if found.tpot is not None else 0.0, found.output_tokens_per_second)


def errors(role: str, catalog: Catalog, most: int) -> Iterator[tuple[str, str, str, float]]:
    """Quantity, way, row and relative error of every comparison."""
    for row in measured_rows("speed.yaml"):
        if row["kind"] != "latency_under_load" or row["role"] != role or not 1 <= int(row.get("concurrency", 0)) <= most:
            continue
        try:
            estimate = estimate_of(row, catalog)
            if is_impossible(row, catalog):
                continue
            answers = {"simulation": simulated(row, catalog), "closed form": answer_of(estimate)}
        except LlmsizerError:
            continue
        for way, answer in answers.items():
            for each in row_errors(row, estimate.case, answer):
                yield each.quantity, way, row["id"], each.error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="validate", choices=["validate", "fit"])
    parser.add_argument("--most", type=int, default=1024, help="largest concurrency to run")
    parser.add_argument("--worst", type=int, default=5)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for quantity, way, row, error in errors(options.role, load_catalog(), options.most):
        found[quantity, way].append((error, row))
    print(f"rows marked {options.role}; TTFT above {QUEUE_BOUND_SECONDS:g} s apart")
    for (quantity, way), rows in sorted(found.items()):
        sizes = [abs(error) for error, _ in rows]
        print(
            f"{quantity:28s} {way:12s} n {len(rows):4d}  median {median(sizes):6.1%}  mean {sum(sizes) / len(sizes):6.1%}"
            f"  p90 {percentile(sizes, 0.9):6.1%}  bias {median(error for error, _ in rows):+6.1%}"
        )
        for error, row in sorted(rows, key=lambda pair: -abs(pair[0]))[: options.worst if way == "simulation" else 0]:
            print(f"    {error:+8.1%}  {row}")


if __name__ == "__main__":
    main()
