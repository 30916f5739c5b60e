"""The speed of an estimate as people read it."""

from __future__ import annotations

from llmsizer.core.explain import plain
from llmsizer.core.quantities import human
from llmsizer.report.tables import Table, digits
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.speed import Phase, SpeedEstimate


def speed_lines(estimate: Estimate) -> list[str]:
    """Latency, throughput, and what binds each phase."""
    speed, case = estimate.speed, estimate.case
    if speed is None:
        return []
    latency, rates = speed.latency, speed.throughput
    first, token, end = (seconds(latency.ttft_seconds), seconds(latency.tpot_seconds), seconds(latency.e2e_seconds))
    before = "without the wait in the queue: " if speed.is_overloaded else ""
    per_user = 1 / float(plain(latency.tpot_seconds))
    prompt, answer = int(plain(case.workload.input_tokens)), int(plain(case.workload.output_tokens))
    return [
        f"Load        {load_text(speed, estimate)}{hit_text(estimate)}",
        f"Latency     {before}first token {first}, then {token} a token ({per_user:,.0f} tokens/s each), {end} in all "
        f"({prompt:,} tokens in, {answer:,} out)",
        f"Throughput  {rate(rates.output_tokens_per_second)} output tokens/s, {rate(rates.requests_per_second)} requests/s"
        + (f", {rate(rates.output_tokens_per_second_per_gpu)} output tokens/s a device" if case.parallel.devices > 1 else ""),
        f"Prefill     {phase_text(speed.prefill)}",
        f"Decode      {phase_text(speed.decode)}",
        *speculation_lines(estimate),
        *goodput_lines(speed),
    ]


def speculation_lines(estimate: Estimate) -> list[str]:
    """What guesses bring at this load, and up to which batch they pay."""
    found = estimate.speculation
    if found is None:
        return []
    return [
        f"Guesses     {found.method}: {int(found.guesses)} a step, {found.tokens_per_step:.2f} tokens stay; tokens come "
        f"{found.gain:.2f} × as fast as without; {found.reach}"
    ]


def goodput_lines(speed: SpeedEstimate) -> list[str]:
    """How many requests meet the targets of their classes."""
    found = speed.goodput
    if found is None:
        return []
    classes = ", ".join(f"{each['name']} {100 * each['share']:.0f} %" for each in found.classes)
    return [
        f"Goodput     {rate(found.requests_per_second)} requests/s within their targets, {100 * float(found.share):.0f} %"
        + (f" ({classes})" if len(found.classes) > 1 else "")
    ]


def cost_lines(estimate: Estimate) -> list[str]:
    """What it costs at this load, in one line."""
    if estimate.cost is None:
        return []
    cost = estimate.cost.to_dict()
    if cost["usd_per_hour"] is None:
        return [f"Cost        {cost['notes'][0]}"] if cost["notes"] else []
    what = ", ".join(str(item["name"]) for item in cost["items"])
    text = f"Cost        {cost['usd_per_hour']:,.2f} USD/h ({what})"
    if cost["usd_per_million_output_tokens"] is not None:
        text += (
            f": {digits(cost['usd_per_million_input_tokens'])} USD per million input and "
            f"{digits(cost['usd_per_million_output_tokens'])} per million output tokens at this load"
        )
    return [text]


def load_text(speed: SpeedEstimate, estimate: Estimate) -> str:
    """How many requests are in flight, and what became of the asked load."""
    asked = estimate.case.request_rate
    running = float(plain(speed.running))
    waiting = float(plain(speed.waiting))
    if asked is not None and speed.is_overloaded:
        most = rate(speed.throughput.requests_per_second)
        return f"{asked:g} requests/s is more than it can serve; at most {most}, then the queue grows without end"
    if asked is not None:
        return f"{asked:g} requests/s keep {count(running)} running"
    text = f"{count(running + waiting)} in flight"
    return text + (f", {count(running)} running and {count(waiting)} waiting for cache or a place" if waiting > 0.5 else "")


def hit_text(estimate: Estimate) -> str:
    """How much of the prompts the prefix cache finds, where they share anything."""
    hits = float(plain(estimate.case.workload.prefix_cache_hit_rate))
    return f"; {100 * hits:.0f} % of the prompt tokens found cached" if hits else ""


def phase_text(phase: Phase) -> str:
    """A phase in one line: step time, what binds, intensity against the ridge, utilisations."""
    intensity, ridge = float(plain(phase.arithmetic_intensity_flop_per_byte)), float(plain(phase.ridge_point_flop_per_byte))
    return (
        f"{seconds(phase.step_seconds)} a step, bound by {BOUND[phase.bound]}: {intensity:,.0f} FLOP/byte "
        f"(ridge {ridge:,.0f}), {100 * float(plain(phase.flop_utilization)):.0f} % of peak FLOP/s, "
        f"{100 * float(plain(phase.bandwidth_utilization)):.0f} % of bandwidth"
    )


BOUND = {
    "compute": "compute",
    "memory": "memory bandwidth",
    "interconnect": "the interconnect",
    "overhead": "launches and host",
}


def operations_table(phase: Phase, title: str) -> Table:
    """The kernels of a step, largest first."""
    rows = [
        [
            each["name"], digits(each["flop"] / 1e9), digits(each["bytes"] / 1e6), f"{each['intensity_flop_per_byte']:,.0f}",
            each["bound"], f"{1e3 * each['seconds']:,.3f}", f"{100 * each['share']:.1f}",
        ]
        for each in phase.operations
    ]  # fmt: skip
    headers = ["operation (all layers)", "GFLOP", "MB", "FLOP/B", "bound", "ms", "%"]
    return Table(title, headers, rows, right=(1, 2, 3, 5, 6))


def seconds(value: object) -> str:
    """A time short enough for a sentence."""
    return human(float(plain(value)), "second")


def rate(value: object) -> str:
    """A rate with three digits."""
    return digits(float(plain(value)))


def count(number: float) -> str:
    """A mean count of sequences."""
    return f"{number:,.0f}" if number >= 10 or number == round(number) else f"{number:.1f}"
