"""Plans against searches by hand, and what must hold of any plan."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError
from llmsizer.handover.command import launch_command
from llmsizer.planner.plan import Plan
from llmsizer.question.words import Words

TARGETS = {"ttft": "500 ms", "tpot": "40 ms"}
PRICES = {"l40s": 1.0, "h100": 2.5}


def plan(model: str = "llama-3.1-8b", **words: Any) -> Plan:
    asked = {"request_rate": 10, "targets": TARGETS, "hardware": ["l40s", "h100"], "confirm": False, **words}
    return llmsizer.plan(model, **asked)


def best_by_hand(device: str, tensor: int, quantization: str | None, rate: float) -> tuple[int, float]:
    """Replicas of one deployment by trying rates one after another, and the rate each bears."""

    def meets(load: float) -> bool:
        found = llmsizer.estimate(
            "llama-3.1-8b", device, tensor_parallel_size=tensor, quantization=quantization, request_rate=load, engine="vllm"
        )
        latency, speed = found.latency, found.speed
        assert latency is not None
        assert speed is not None
        return latency.ttft_p95_seconds <= 0.5 and latency.tpot_p95_seconds <= 0.04 and speed.waiting == 0

    low, high = 0.01, 200.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if meets(middle) else (low, middle)
    return math.ceil(rate / (low * 0.8)), low


def test_brute_force_finds_the_same_deployment() -> None:
    found = []
    for device, tensor, quantization in itertools.product(PRICES, (1, 2), (None, "fp8")):
        replicas, capacity = best_by_hand(device, tensor, quantization, 40.0)
        found.append((replicas * tensor * PRICES[device], device, tensor, quantization, replicas, capacity))
    cost = min(each[0] for each in found)
    cheapest = {each[1:5]: each[5] for each in found if each[0] == pytest.approx(cost)}
    by_device = {
        name: plan(request_rate=40, most_devices=2, price=f"{price} USD/h", hardware=[name], headroom=0.2)
        for name, price in PRICES.items()
    }
    best = min((each.best for each in by_device.values() if each.best), key=lambda pick: pick.usd_per_hour)
    assert best.usd_per_hour == pytest.approx(cost)
    case = best.estimate.case
    device = next(name for name in PRICES if case.accelerator.id.startswith(name))
    chosen = (device, case.parallel.tensor_parallel_size, best.words.quantization, best.replicas)
    assert chosen in cheapest
    assert best.capacity == pytest.approx(cheapest[chosen], rel=0.06)


TURNS = [
    {"output_tokens": 1}, {"output_tokens": 1, "input_tokens": "500..1500"}, {"max_num_seqs": 1, "output_tokens": 20},
    {"batching": "static"}, {"batching": "static", "output_tokens": "50..200"},
]  # fmt: skip


@pytest.mark.parametrize("words", TURNS, ids=str)
def test_requests_in_turns_are_planned_too(words: dict[str, Any]) -> None:
    """What a replica bears, against rates tried one after another."""
    found = plan(request_rate=1, targets={"ttft": "3 s"}, hardware=["l40s"], formats="auto", most_devices=1, **words).best
    assert found is not None
    low, high = 0.001, 200.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        asked = llmsizer.estimate("llama-3.1-8b", "l40s", request_rate=middle, **words)
        assert asked.latency is not None
        assert asked.speed is not None
        meets = asked.latency.ttft_p95_seconds <= 3.0 and asked.speed.waiting == 0
        low, high = (middle, high) if meets else (low, middle)
    assert found.capacity == pytest.approx(low, rel=0.06)


def test_a_token_alone_has_no_time_per_further_token() -> None:
    found = plan(output_tokens=1, targets={"ttft": "500 ms", "tpot": "1 us"})
    assert found.best is not None
    assert [margin.target.metric for margin in found.best.margins] == ["ttft"]
    assert "does not apply" in found.notes[0]
    assert plan(output_tokens=2, targets={"ttft": "500 ms", "tpot": "1 us"}).best is None


def test_the_cost_is_the_rate_card() -> None:
    pick = plan(hardware=["l40s"], price="8 USD/h x 8", most_devices=4, request_rate=100).best
    assert pick is not None
    instances = math.ceil(pick.replicas / (8 // pick.estimate.case.parallel.devices))
    assert pick.usd_per_hour == pytest.approx(8.0 * instances)
    assert pick.cost.to_dict()["usd_per_request"] == pytest.approx(8.0 * instances / 3600 / 100)


@pytest.mark.parametrize(
    "words",
    [{"extras": "monitoring,storage"}, {"markets": "spot"}, {"extras": {"monitoring": "900 USD/month"}, "markets": "spot"}, {}],
    ids=str,
)
def test_candidates_are_ranked_by_all_that_differs_between_them(words: dict[str, Any]) -> None:
    """Storage of weights, monitoring of instances and interruptions count in the ranking as in a pick's own cost."""
    found = plan(hardware="any", vendors="NVIDIA", request_rate=30, **words)
    ranked = {row["hardware"]: row["usd_per_hour"] for row in found.alternatives}
    for pick in found.picks:
        if pick.devices == next(row["devices"] for row in found.alternatives if row["hardware"] == pick.words.hardware):
            assert ranked[pick.words.hardware] == pytest.approx(pick.usd_per_hour, rel=1e-6)
    costs = [pick.usd_per_hour for pick in found.picks]
    assert costs == sorted(costs)


def test_monitoring_by_the_instance_favours_large_instances() -> None:
    dear = plan(extras={"monitoring": "20 USD/h"}, request_rate=60, hardware=["h100"], most_devices=1).best
    usual = plan(request_rate=60, hardware=["h100"], most_devices=1).best
    assert dear is not None
    assert usual is not None
    instances = [next(item for item in pick.cost.items if item.unit == "instances").quantity for pick in (dear, usual)]
    assert instances[0] <= instances[1]


def test_a_pick_bears_its_share_within_the_targets() -> None:
    for pick in plan(request_rate=30).picks:
        share = 30 / pick.replicas
        assert share <= pick.capacity * 0.8 * (1 + 1e-9)
        assert all(margin.is_met for margin in pick.margins)
        latency = llmsizer.estimate(
            "llama-3.1-8b", pick.estimate.case.accelerator.id, quantization=pick.words.quantization, request_rate=share,
            tensor_parallel_size=pick.words.tensor_parallel_size, pipeline_parallel_size=pick.words.pipeline_parallel_size,
        ).latency  # fmt: skip
        assert latency is not None
        assert latency.tpot_p95_seconds <= 0.04


def test_what_does_not_fit_is_no_candidate() -> None:
    found = plan("llama-3.1-70b", most_devices=4, formats=["auto", "fp8", "awq"]).candidates
    for row in range(len(found)):
        assert llmsizer.estimate(**words_of(found.words(row))).fits
    assert len(found) < found.tried


def words_of(words: Words) -> dict[str, Any]:
    return {name: getattr(words, name) for name in words.__dataclass_fields__}


@pytest.mark.parametrize("change", [{"targets": {"ttft": "800 ms", "tpot": "60 ms"}}, {"request_rate": 5}, {"headroom": 0.0}])
def test_asking_for_less_never_costs_more(change: dict[str, Any]) -> None:
    asked, less = plan(request_rate=20).best, plan(**{"request_rate": 20, **change}).best
    assert asked is not None
    assert less is not None
    assert less.usd_per_hour <= asked.usd_per_hour * (1 + 1e-9)


def test_spare_replicas_are_beyond_the_need() -> None:
    need, spare = plan(request_rate=60, hardware=["l40s"]), plan(request_rate=60, hardware=["l40s"], spare=2)
    assert need.best is not None
    assert spare.best is not None
    assert spare.candidates.columns["replicas"][0] == need.candidates.columns["replicas"][0] + 2


def test_the_front_is_not_beaten() -> None:
    rows = plan("qwen3-32b", hardware=["l40s", "h100", "h200"], request_rate=5).front
    keys = ("usd_per_hour", "ttft_seconds", "tpot_seconds")
    for a, b in itertools.permutations(rows, 2):
        better = all(a[key] <= b[key] for key in keys) and (
            a["output_tokens_per_second_per_gpu"] >= b["output_tokens_per_second_per_gpu"]
        )
        assert not (better and any(a[key] < b[key] for key in keys))


def test_nothing_meets_impossible_targets() -> None:
    found = plan("llama-3.1-70b", targets={"tpot": "1 ms"})
    assert found.best is None
    assert not found.to_dict()["meets_targets"]
    assert all("TPOT P95" in each for each in found.nearest)
    assert found.nearest
    assert all(each.reason and each.miss is not None and each.miss > 1 for each in found.rejected)


def test_a_budget_is_kept_and_told() -> None:
    found = plan(request_rate=100, most_usd_per_hour="1 USD/h")
    assert not found.picks
    assert any("USD/h, more than 1" in each.reason for each in found.rejected)


def test_devices_that_are_too_small_say_what_they_lack() -> None:
    found = plan("llama-3.1-405b", hardware=["t4"], most_devices=8, formats="auto")
    assert len(found.rejected) == 1
    assert "weights need" in found.rejected[0].reason


def test_concurrency_is_a_demand_too() -> None:
    found = plan(request_rate=None, concurrency=200)
    assert found.best is not None
    running = found.best.replicas * float(found.best.estimate.speed.running)  # type: ignore[union-attr]
    assert running == pytest.approx(200, rel=0.25)


def test_a_daily_profile_is_paid_by_what_runs() -> None:
    day = [1.0] * 12 + [20.0] * 12
    flat, daily = plan(request_rate=20, hardware=["l40s"]).best, plan(request_rate=None, demand=day, hardware=["l40s"]).best
    assert flat is not None
    assert daily is not None
    assert daily.replicas == flat.replicas
    assert daily.usd_per_hour < flat.usd_per_hour


def test_the_simulation_confirms_or_adds_replicas() -> None:
    found = plan(request_rate=3, confirm=True, picks=2)
    for pick in found.picks:
        assert all(margin.simulated is not None for margin in pick.margins)
        assert pick.is_confirmed


def test_the_same_question_gives_the_same_plan() -> None:
    first, second = plan(confirm=True, picks=2).to_dict(), plan(confirm=True, picks=2).to_dict()
    assert first == second


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"request_rate": None}, "traffic"),
        ({"request_rate": -1}, "request-rate"),
        ({"concurrency": 5}, "one of"),
        ({"hardware": ["h10"]}, "h100"),
        ({"vendors": "nvidea"}, "NVIDIA"),
        ({"formats": "fp9"}, "fp8"),
        ({"providers": "lamda"}, "lambda"),
        ({"markets": "spt"}, "spot"),
        ({"engines": "vlm"}, "vllm"),
        ({"most_usd_per_hour": "5 GB"}, "USD"),
        ({"targets": {"ttft": "x"}}, "ttft"),
        ({"spare": 1.5}, "whole"),
        ({"growht": 2}, "growth"),
        ({"input_tokens": 10**9}, "input-tokens"),
    ],
)
def test_mistakes_say_what_is_expected(words: dict[str, Any], told: str) -> None:
    with pytest.raises(LlmsizerError) as error:
        plan(**words)
    assert told.lower() in str(error.value).lower()


CASES = ("llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "deepseek-r1", "qwen3-30b-a3b", "gpt-oss-120b")


@pytest.mark.parametrize("model", CASES)
def test_a_hundred_times_the_demand(model: str) -> None:
    """From 1 to 100 requests a second: never cheaper, never more than a hundred times as dear (with whole
    instances), and the winner's weights fit into its devices."""
    small, large = (
        plan(model, request_rate=rate, hardware="any", vendors="NVIDIA", targets={"tpot": "50 ms"}).best for rate in (1, 100)
    )
    assert small is not None
    assert large is not None
    assert small.usd_per_hour <= large.usd_per_hour <= 100 * small.usd_per_hour * (1 + 1e-9)
    for pick in (small, large):
        gpu = pick.estimate.memory.per_gpu
        assert gpu.weights_bytes < gpu.capacity_bytes
        assert pick.replicas * pick.capacity * 0.8 >= (1 if pick is small else 100) * (1 - 1e-9)


def test_growth_is_what_the_replicas_leave() -> None:
    pick = plan(request_rate=10, hardware=["l40s"]).best
    assert pick is not None
    assert pick.growth == pytest.approx(pick.replicas * pick.capacity * 0.8 / 10)
    assert pick.grown["replicas"] >= pick.replicas
    changed = replace(pick, replicas=pick.replicas)
    assert changed.devices == pick.devices


def test_what_moves_a_pick_points_the_right_way() -> None:
    effects = {effect.input: effect for effect in plan(request_rate=20, hardware=["l40s"]).sensitivity}

    def moved(name: str) -> tuple[float, float]:
        sides = (effects[name].lower, effects[name].higher)
        return tuple(side["requests_per_second"] or 0.0 for side in sides)  # type: ignore[return-value]

    for name in ("memory bandwidth", "peak compute", "limit of TPOT P95"):
        assert moved(name)[0] <= 1.001
        assert moved(name)[1] >= 0.999
    for name in ("prompt length", "answer length", "weight bytes", "host and engine time"):
        assert moved(name)[0] >= 0.999
        assert moved(name)[1] <= 1.001
    assert max(effect.largest for effect in effects.values()) > 0.02
    assert not {"load", "link bandwidth", "price"} & set(effects)


def test_seventy_billion_in_production() -> None:
    """The field's example: 2 to 4 H100 hold a 70B model in 4 or 8 bits; at batches of 8 to 32 a request reads 30 to
    50 tokens a second, and a replica answers 100 to 200 requests a minute of a few hundred tokens within seconds."""
    for quantization, tensor in (("awq", 2), ("fp8", 4)):
        for batch in (8, 32):
            found = llmsizer.estimate(
                "llama-3.1-70b", "h100", quantization=quantization, tensor_parallel_size=tensor, concurrency=batch,
                input_tokens=500, output_tokens=150,
            )  # fmt: skip
            assert found.fits
            assert found.latency is not None
            assert found.throughput is not None
            assert 25 <= 1 / found.latency.tpot_seconds <= 90
            assert 2 <= found.latency.e2e_p99_seconds <= 7
            assert 100 <= 60 * found.throughput.requests_per_second <= 700


def test_quantized_checkpoints_are_not_quantized_again() -> None:
    usual = llmsizer.plan("gpt-oss-20b", request_rate=2, targets={"tpot": "50 ms"}, hardware=["h100"], confirm=False)
    assert {pick.words.quantization for pick in usual.picks} == {None}
    asked = llmsizer.plan(
        "gpt-oss-20b", request_rate=2, targets={"tpot": "50 ms"}, hardware=["h100"], formats=["fp8"], confirm=False
    )
    assert {pick.words.quantization for pick in asked.picks} == {"fp8"}
    launch = launch_command(asked.picks[0].estimate)
    assert "--quantization" not in launch.arguments()
    assert any("stored in fp8" in note for note in launch.notes)


def test_an_engine_without_paged_caches_is_planned_too() -> None:
    found = plan(request_rate=0.2, targets={}, hardware=["h100", "mi300x"], engines=["llama.cpp+cuda"])
    assert found.best is not None
    assert found.best.estimate.case.engine.id == "llama.cpp"
    assert "no backend cuda" in {each.device: each.reason for each in found.rejected}["mi300x"]
