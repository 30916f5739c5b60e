"""A plan as people read it: the answer, what else would do, and why the rest does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.quantities import human
from llmsizer.planner.aims import AIMS
from llmsizer.planner.picks import Margin, Pick, offer_name
from llmsizer.planner.plan import Plan
from llmsizer.planner.planning import Planning
from llmsizer.planner.pool_picks import Pool, PoolPick
from llmsizer.planner.question import Choices, PlanQuestion
from llmsizer.planner.sensitivity import Effect
from llmsizer.report.tables import Table, digits

MOST_ALTERNATIVES = 8
MOST_EFFECTS = 5
MOST_REJECTED = 12
NEAREST = "; nearest: "
SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def plan_heading(question: PlanQuestion) -> str:
    """What was asked, in one line."""
    words = question.words
    sizes = f"{_tokens(words.input_tokens, 1024)} in and {_tokens(words.output_tokens, 256)} out"
    if words.workload is not None:
        sizes = f"classes {', '.join(kind.name for kind in words.workload.classes)}"
    hits = float(words.prefix_cache_hit_rate)
    cached = f", {hits:.0%} of the prompt cached" if hits else ""
    targets = ", ".join(str(target) for target in question.targets) or "no targets"
    aim = "" if question.by == "cost" else f"; {AIMS[question.by].title}{_limits_text(question.choices)}"
    return f"{words.model}: {load_text(question)} of {sizes}{cached}; {targets}{aim}"


def _limits_text(choices: Choices) -> str:
    """The limits of the whole deployment, in words."""
    limits = [
        ("devices", choices.most_devices_in_all), ("USD/h", choices.most_usd_per_hour), ("W", choices.most_watts),
    ]  # fmt: skip
    told = [f"{most:,g} {unit}" for unit, most in limits if most is not None]
    return f" with up to {', '.join(told)}" if told else ""


def _tokens(given: Any, default: int) -> str:
    """A length as it was asked for; of observed lengths their mean."""
    if hasattr(given, "support"):
        return f"a mean of {given.mean():,.0f} tokens"
    number = default if given is None else given
    return f"{number} token{'' if number in (1, '1') else 's'}"


def load_text(question: PlanQuestion) -> str:
    """The demand in words."""
    if question.demand is not None:
        return f"up to {question.peak:,.4g} requests/s ({question.demand.mean:,.4g} on average)"
    if question.concurrency is not None:
        return f"{question.concurrency:,} requests in flight"
    if not question.has_demand:
        return "as many requests/s as it bears"
    return f"{question.peak:,.4g} requests/s"


def answer_rows(plan: Plan) -> list[tuple[str, str]]:
    """The best pick as labels and texts; where there is none, what comes nearest."""
    best, notes = plan.best, [("Note", note) for note in plan.notes]
    if best is None and plan.pools:
        return [*pool_rows(plan.pools[0]), *notes]
    if best is None:
        nearest = plan.nearest or ("no device holds the model within the choices",)
        return [("Answer", "nothing meets the targets"), *(("Nearest", each) for each in nearest), *notes]
    return [
        ("Run", deployment_text(best)), ("Cost", cost_text(best)),
        *([("Bears", borne_text(best))] if plan.question.by == "throughput" else []),
        *(("Target", margin_text(margin)) for margin in best.margins),
        ("Load", room_text(best, plan.headroom)), ("Growth", growth_text(best)), ("Loss", loss_text(best)),
        ("Evidence", evidence_text(best)), *(("Note", note) for note in best.notes), *_pools_row(plan), *notes,
    ]  # fmt: skip


def pool_rows(pick: PoolPick) -> list[tuple[str, str]]:
    """Two pools as labels and texts, where nothing else meets the targets."""
    prefill, decode = (_pool_text(pool) for pool in (pick.prefill, pick.decode))
    return [
        ("Run", f"only separate pools meet the targets: {prefill} for prefill, {decode} for decode"),
        ("Cost", f"{pick.usd_per_hour:,.2f} USD/h"), *(("Target", margin_text(margin)) for margin in pick.margins),
        *(("Note", note) for note in pick.notes),
    ]  # fmt: skip


def _pool_text(pool: Pool) -> str:
    case = pool.estimate.case
    return f"{pool.replicas} × {split_text(case.parallel.devices, case.accelerator.name)} ({case.scheme.id} weights)"


def _pools_row(plan: Plan) -> list[tuple[str, str]]:
    """How the best pair of pools compares with the pick."""
    if not plan.question.disaggregated or plan.best is None:
        return []
    if not plan.pools:
        return [("Pools", "no separate pools for prefill and decode meet the targets")]
    pools = plan.pools[0]
    more = pools.usd_per_hour / plan.best.usd_per_hour - 1
    text = f"{abs(more):.0%} {'cheaper' if more < 0 else 'dearer'}"
    return [("Pools", f"{pool_name(pools.prefill)} for prefill and {pool_name(pools.decode)} for decode: {text}")]


def answer_lines(plan: Plan) -> list[str]:
    """The answer for a terminal."""
    return [f"{label:12s}{text}" for label, text in answer_rows(plan)]


def total_lines(planning: Planning) -> list[str]:
    """What the deployments of each scenario with several workloads cost together."""
    found = []
    for scenario, answers in planning.scenarios.items():
        if len(answers) > 1:
            cost = planning.usd_per_hour(scenario)
            told = "not known: a workload has no deployment" if cost is None else f"{cost:,.2f} USD/h"
            found.append(f"{scenario}: all {len(answers)} workloads: {told}".removeprefix(": "))
    return found


def deployment_name(row: Mapping[str, Any], split: bool = True) -> str:
    """A candidate in short: replicas × devices of each, device, formats; with ``split`` also how the devices share the
    work, where it is not tensor-parallel alone."""
    cache = "" if row["kv_cache_dtype"] == "auto" else f", {row['kv_cache_dtype']} cache"
    quantization = "" if row["quantization"] == "auto" else f", {row['quantization']}"
    sizes = " ".join(f"{name[0]}p {row[name]}" for name in SIZES if row[name] > 1)
    shared = f", {sizes}" if split and max(row["pipeline_parallel_size"], row["data_parallel_size"]) > 1 else ""
    return f"{row['replicas']}×{row['devices'] // row['replicas']} {row['hardware']}{quantization}{cache}{shared}"


def pick_name(pick: Pick) -> str:
    """A pick in short, as ``deployment_name``."""
    return deployment_name(pick_row(pick))


def pick_row(pick: Pick | Pool) -> dict[str, Any]:
    """What identifies a pick among the candidates, with its size."""
    words, case = pick.words, pick.estimate.case
    return {
        "hardware": words.hardware, "quantization": words.quantization or "auto", "kv_cache_dtype": words.kv_cache_dtype,
        "replicas": pick.replicas, "devices": pick.devices, **{name: getattr(case.parallel, name) for name in SIZES},
    }  # fmt: skip


def deployment_text(pick: Pick) -> str:
    """What to run, in one line."""
    case = pick.estimate.case
    return (
        f"{pick.replicas} × {split_text(case.parallel.devices, case.accelerator.name)}, {case.scheme.id} weights, "
        f"{case.cache_format.id} cache, {case.engine.title} {case.engine.version}{_split(pick)}"
    )


def split_text(devices: int, name: str) -> str:
    """The devices of a replica."""
    return name if devices == 1 else f"({devices} × {name})"


def _split(pick: Pick) -> str:
    parallel = pick.estimate.case.parallel
    sizes = [
        ("tp", parallel.tensor_parallel_size),
        ("pp", parallel.pipeline_parallel_size),
        ("dp", parallel.data_parallel_size),
    ]
    parts = [f"{name} {size}" for name, size in sizes if size > 1]
    parts += ["expert-parallel"] if parallel.enable_expert_parallel else []
    return f" ({', '.join(parts)})" if parts else ""


def cost_text(pick: Pick) -> str:
    """The price of a pick, by the hour and by the token."""
    cost = pick.cost.to_dict()
    text = f"{pick.usd_per_hour:,.2f} USD/h on {offer_name(pick.offer)}"
    if cost["usd_per_million_output_tokens"] is not None:
        text += (
            f"; {digits(cost['usd_per_request'] * 1e3)} USD per thousand requests, "
            f"{digits(cost['usd_per_million_input_tokens'])} per million input and "
            f"{digits(cost['usd_per_million_output_tokens'])} per million output tokens"
        )
    return text


def margin_text(margin: Margin) -> str:
    """A target with what the closed form and the simulation say."""
    simulated = "" if margin.simulated is None else f", simulated {_time(margin.simulated)}"
    verdict = f"{margin.room:.0%} to spare" if margin.is_met else "missed"
    return f"{margin.target}: {_time(margin.estimated)}{simulated} ({verdict})"


def room_text(pick: Pick, headroom: float) -> str:
    """What a replica bears and what comes to it."""
    rate = float(plain(pick.estimate.case.request_rate or 0.0))
    borne = f"a replica bears {digits(pick.capacity)} requests/s within the targets and gets {digits(rate)}"
    return f"{borne}; {headroom:.0%} are kept free"


def borne_text(pick: Pick) -> str:
    """What the whole deployment bears, as requests that come and as requests in flight."""
    estimate = pick.estimate
    assert estimate.speed is not None, "a pick has a speed"
    rate = float(plain(estimate.case.request_rate or 0.0))
    flying = float(plain(estimate.speed.running)) / rate * pick.borne if rate else 0.0
    return f"{pick.borne:,.4g} requests/s in all, with {flying:,.0f} in flight"


def growth_text(pick: Pick) -> str:
    """How far the deployment reaches, and what the demand to come takes."""
    grown = pick.grown
    return (
        f"holds up to {pick.growth:,.2f} × the peak; at {grown['multiple']:g} ×: {grown['replicas']:.0f} replicas, "
        f"{grown['usd_per_hour']:,.2f} USD/h"
    )


def loss_text(pick: Pick) -> str:
    """What happens when one replica is lost."""
    if pick.replicas == 1:
        return "there is one replica: its loss is an outage (--spare 1 adds another)"
    if pick.one_less is None:
        return "with one replica less the others miss the targets at the peak (--spare 1 adds another)"
    times = ", ".join(f"{name.split('_')[0].upper()} P95 {_time(value)}" for name, value in pick.one_less.items())
    return f"with one replica less: {times}"


def evidence_text(pick: Pick) -> str:
    """How far the pick may be trusted."""
    evidence = pick.estimate.evidence
    low, high = evidence.tpot_interval_seconds or (0.0, 0.0)
    return f"{evidence.tier} ({evidence.weakest}); TPOT {_time(low)} to {_time(high)} with 80 % confidence"


def picks_table(plan: Plan) -> Table:
    """The picks, each asked again and simulated."""
    bears = plan.question.by == "throughput"
    rows = [
        [
            pick_name(pick), f"{pick.usd_per_hour:,.2f}", *([digits(pick.borne)] if bears else []),
            *(_times(margin) for margin in pick.margins),
            pick.estimate.evidence.tier + ("" if pick.is_confirmed else ", misses a target"),
        ]
        for pick in plan.picks
    ]  # fmt: skip
    headers = [
        "replicas×devices",
        "USD/h",
        *(["requests/s"] if bears else []),
        *(f"{target.title} ms" for target in plan.question.targets),
        "evidence",
    ]
    title = f"Picks: the {AIMS[plan.question.by].title} of each device" + (
        " (times: estimated/simulated)" if plan.question.targets else ""
    )
    return Table(title, headers, rows, right=tuple(range(1, len(headers) - 1)))


def pools_table(plan: Plan) -> Table:
    """The pairs of pools for prefill and decode."""
    rows = [
        [
            f"{pool_name(each.prefill)} + {pool_name(each.decode)}" + ("" if each.is_confirmed else ", misses a target"),
            f"{each.usd_per_hour:,.2f}", *(_times(margin) for margin in each.margins),
        ]
        for each in plan.pools
    ]  # fmt: skip
    headers = ["prefill + decode", "USD/h", *(f"{target.title} ms" for target in plan.question.targets)]
    title = "Separate pools for prefill and decode" + (" (times: estimated/simulated)" if plan.question.targets else "")
    return Table(title, headers, rows, right=tuple(range(1, len(headers))))


def pool_name(pool: Pool) -> str:
    """A pool in short, as ``deployment_name``."""
    return deployment_name(pick_row(pool))


def _times(margin: Margin) -> str:
    simulated = "–" if margin.simulated is None else f"{1e3 * margin.simulated:,.0f}"
    return f"{1e3 * margin.estimated:,.0f}/{simulated}"


def rows_table(title: str, rows: Sequence[Mapping[str, Any]], most: int | None = MOST_ALTERNATIVES) -> Table:
    """Candidates, cheapest first; ``tokens/s`` are output tokens of one device. With ``most`` so many, in short."""
    made = [
        [
            deployment_name(row, most is None), f"{row['usd_per_hour']:,.2f}", f"{1e3 * row['ttft_seconds']:,.0f}",
            f"{1e3 * row['tpot_seconds']:.1f}", f"{row['output_tokens_per_second_per_gpu']:,.0f}",
        ]
        for row in rows[:most]
    ]  # fmt: skip
    headers = ["replicas×devices", "USD/h", "TTFT ms", "TPOT ms", "tokens/s"]
    return Table(title, headers, made, right=(1, 2, 3, 4))


def rejected_table(plan: Plan, most: int | None = None) -> Table:
    """Devices that no plan uses, the nearest miss first; devices with the same reason share a line. With ``most``
    so many lines, and of each device its nearest miss alone."""
    rows = [[_names(devices), reason] for reason, devices in list(_by_reason(plan, most).items())[:most]]
    return Table("Not chosen", ["device", "reason"], rows)


def short_tables(plan: Plan) -> list[Table]:
    """Picks, what else would do, what moves the answer, and the nearest misses."""
    picked = {pick.estimate.case.accelerator.id for pick in plan.picks}
    others = [row for row in plan.alternatives if row["hardware"] not in picked]
    return [
        picks_table(plan), pools_table(plan), rows_table("Other devices that would do", others),
        sensitivity_table(plan, MOST_EFFECTS), rejected_table(plan, MOST_REJECTED),
    ]  # fmt: skip


def every_table(plan: Plan) -> list[Table]:
    """All that was found."""
    return [
        picks_table(plan), pools_table(plan), rows_table("Best of each device", plan.alternatives, None),
        rows_table("Not beaten in cost, latency and throughput at once", plan.front, None),
        sensitivity_table(plan), rejected_table(plan),
    ]  # fmt: skip


def left_out(plan: Plan, most: int) -> int:
    """How many devices a table of so many rejections leaves out."""
    return sum(len(devices) for devices in list(_by_reason(plan, most).values())[most:])


def _by_reason(plan: Plan, most: int | None) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for each in sorted(plan.rejected, key=lambda each: (each.miss is None, each.miss or 0.0)):
        reason = each.reason if most is None else _in_short(each.reason)
        groups.setdefault(reason, []).append(each.device)
    return groups


def _in_short(reason: str) -> str:
    """The nearest miss alone; of a device without a price not how many would do."""
    return re.sub(r"^\d+ × \d+ (?=would do)", "", reason.rpartition(NEAREST)[2])


def sensitivity_table(plan: Plan, most: int | None = None) -> Table:
    """What moves the best pick."""
    rows = [[effect.input, *(_change(each) for each in borne_changes(effect))] for effect in plan.sensitivity[:most]]
    return Table("What a replica bears, with one input changed", ["input", "10 % lower", "10 % higher"], rows, right=(1, 2))


def borne_changes(effect: Effect) -> tuple[float | None, ...]:
    """The relative changes of the rate that a replica bears, with the input lower and higher."""
    factors = (side["requests_per_second"] for side in (effect.lower, effect.higher))
    return tuple(None if factor is None else factor - 1.0 for factor in factors)


def _change(value: float | None) -> str:
    return "targets missed" if value is None else f"{round(value, 3) + 0.0:+.1%}"


def _names(devices: Sequence[str], most: int = 3) -> str:
    rest = len(devices) - most
    return ", ".join(devices[:most]) + (f" and {rest} more" if rest > 0 else "")


def _time(value: float) -> str:
    return human(value, "second", 3)
