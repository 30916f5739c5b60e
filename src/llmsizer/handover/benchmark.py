"""The benchmark that would check an estimate, and what the estimate expects of it."""

from __future__ import annotations

import math
from typing import Any

from llmsizer.catalog.engine_flags import benchmark_flags
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.core.quantities import human
from llmsizer.handover.checkpoint import checkpoint_of
from llmsizer.handover.command import heading, target_of
from llmsizer.handover.launch import Launch
from llmsizer.schema.deployment import Case
from llmsizer.sizing.estimate import Estimate

# A run holds so many requests for each one in flight, within bounds: enough that start and end weigh little.
ROUNDS, LEAST_PROMPTS, MOST_PROMPTS = 10, 100, 5000


def benchmark_command(estimate: Estimate) -> Launch:
    """The ``vllm bench serve`` command with the estimate's load, run against the engine that ``launch_command``
    starts; its notes say what the estimate expects.

    Raises UnsupportedCombination for an estimate without a speed.
    """
    case, speed = estimate.case, estimate.speed
    if speed is None:
        raise UnsupportedCombination("--emit bench: the deployment does not fit, so there is nothing to expect of it")
    target, known = target_of(case, None), benchmark_flags()
    model, _ = checkpoint_of(case, str(estimate.question["model"]), target)
    prompt, shared = int(plain(case.workload.input_tokens)), float(plain(case.workload.prefix_cache_hit_rate))
    prefix = int(prompt * shared)
    flags: dict[str, Any] = {
        "--backend": "openai", "--base-url": f"http://localhost:{target.flags.entry['port']}", "--model": model,
        "--dataset-name": "random", "--random-input-len": max(prompt - prefix, 1),
        "--random-output-len": int(plain(case.workload.output_tokens)),
    }  # fmt: skip
    if prefix:
        flags["--random-prefix-len"] = prefix
    in_flight = float(plain(speed.running)) + min(float(plain(speed.waiting)), 1e4)
    flags["--num-prompts"] = min(max(math.ceil(ROUNDS * in_flight), LEAST_PROMPTS), MOST_PROMPTS)
    flags |= _load(case)
    flags |= {"--ignore-eos": True, "--percentile-metrics": "ttft,tpot,itl,e2el", "--metric-percentiles": "50,90,95,99"}
    flags["--save-result"] = True
    return Launch(heading(case, target), tuple(known.start()), tuple(flags.items()), notes=tuple(_expected(estimate)))


def _load(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if case.request_rate is not None:
        found["--request-rate"] = plain(case.request_rate)
    if case.concurrency is not None or case.request_rate is None:
        found["--max-concurrency"] = int(plain(case.concurrency)) if case.concurrency is not None else 1
    return found


def _expected(estimate: Estimate) -> list[str]:
    assert estimate.speed is not None
    latency, throughput = estimate.speed.latency, estimate.speed.throughput
    notes = [
        f"Expected    mean TTFT {_interval(latency.ttft_seconds, estimate.evidence.ttft_interval_seconds)}",
        f"            mean TPOT {_interval(latency.tpot_seconds, estimate.evidence.tpot_interval_seconds)}",
        f"            P99 TTFT {_time(latency.ttft_p99_seconds)}, P99 TPOT {_time(latency.tpot_p99_seconds)}",
        f"            {float(plain(throughput.output_tokens_per_second)):,.0f} output tokens/s, "
        f"{float(plain(throughput.requests_per_second)):,.3g} requests/s",
    ]  # fmt: skip
    if estimate.case.workload.spread is not None:
        notes.append("The estimate's lengths scatter; these requests all have the means: take a dataset of yours to see both.")
    if estimate.case.draft is not None:
        notes.append("Random prompts draft worse than real text: with speculation, take a dataset of yours.")
    return [*notes, "llmsizer validate FILE compares the file that it saves with the estimate."]


def _interval(value: Any, interval: tuple[float, float] | None) -> str:
    told = _time(value)
    return told if interval is None else f"{told} (8 of 10 measurements: {_time(interval[0])} to {_time(interval[1])})"


def _time(value: Any) -> str:
    return human(float(plain(value)), "second", 3)
