"""A sweep gives at every point what one estimate gives, whatever runs as an array."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnknownName, UnsupportedCombination
from llmsizer.sizing.fixed_point import fixed_point

LOADS = {"concurrency": [1, 2, 3, 33, 256, 1000], "input_tokens": [1, 1024, 8192], "output_tokens": [1, 2, 300]}
GRIDS: list[tuple[Any, Any, dict[str, Any]]] = [
    ("llama-3.1-8b", "h100", {"concurrency": [1, 2, 8, 64, 1000, "max"]}),
    ("llama-3.1-8b", "h100", {**LOADS, "input_tokens": [1, 1024, 40000, 140000]}),
    ("llama-3.1-8b", ["h100", "l40s"], {"request_rate": [0.1, 5, 20, 100], "input_tokens": [128, 8192],
                                        "prefix_cache_hit_rate": [0, 0.5, 1]}),
    ("llama-3.1-8b", "l40s", {"request_rate": [0.1, 5, 100], "concurrency": [1, 10, 100]}),
    (["gemma-3-27b", "qwen3-30b-a3b"], "h200", {"tensor_parallel_size": [1, 3, 4], "concurrency": [1, 256],
                                                "input_tokens": [512, 30000]}),
    ("deepseek-v3", "h200", {"data_parallel_size": 8, "enable_expert_parallel": [True, False], "concurrency": [1, 16, 3000]}),
    ("llama-3.1-8b", "h100", {"engine": ["llama.cpp", "transformers", "sglang", "tensorrt-llm"],
                              "concurrency": [1, 4, 16], "input_tokens": [512, 3000], "output_tokens": 20}),
    ("llama-3.1-70b", "h100", {"pipeline_parallel_size": 4, "concurrency": [1, 2, 3, 4, 5, 64]}),
    ("llama-3.1-70b", "h100", {"tensor_parallel_size": [2, 4], "concurrency": [1, 3, 64], "num_prompts": 100,
                               "speculative": {"method": "draft", "model": "llama-3.2-1b"}}),
    ("llama-3.1-70b", "h100", {"ignore_memory": True, "concurrency": [1, 64]}),
    ("llama-3.1-8b", "h100", {"batching": ["static", "continuous"], "concurrency": [1, 16, 128]}),
]  # fmt: skip


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def is_close(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and not math.isfinite(expected):
        expected = None
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return abs(found - expected) <= 1e-9 * abs(expected)
    return bool(found == expected)


@pytest.mark.parametrize(("model", "hardware", "words"), GRIDS, ids=lambda value: str(value)[:40])
def test_every_point_is_the_estimate(model: Any, hardware: Any, words: dict[str, Any]) -> None:
    found = llmsizer.sweep(model, hardware, **words)
    rows = found.to_rows()
    for row in random.Random(1).sample(rows, min(len(rows), 30)):
        asked = {"model": model, "hardware": hardware, **words} | {name: row[name] for name in found.words}
        try:
            estimate = llmsizer.estimate(**asked)
        except LlmsizerError:
            assert not row["fits"]
            assert row["reason"]
            continue
        data = dict(flat(estimate.to_dict()))
        figures = {name: row[name] for name in row if name not in found.words and name != "reason"}
        wrong = {name: (value, data.get(name)) for name, value in figures.items() if not is_close(value, data.get(name))}
        assert not wrong, asked


def test_points_that_do_not_fit_have_no_speed() -> None:
    found = llmsizer.sweep("llama-3.1-70b", ["h100", "b200"], concurrency=[1, 4], input_tokens=[100, 50_000])
    assert found["fits"].tolist() == [False] * 4 + [True] * 4
    assert np.isnan(found["latency.tpot_seconds"][:4]).all()
    assert all("weights need" in reason for reason in found["reason"][:4])
    assert found["reason"][4:].tolist() == [None] * 4


def test_refused_combinations_are_rows_unless_all_are() -> None:
    found = llmsizer.sweep("llama-3.1-8b", "h100", tensor_parallel_size=[1, 3], concurrency=[1, 2])
    assert found["fits"].tolist() == [True, True, False, False]
    assert "does not divide" in found["reason"][2]
    with pytest.raises(UnsupportedCombination):
        llmsizer.sweep("llama-3.1-8b", "h100", tensor_parallel_size=[3, 5])


@pytest.mark.parametrize(
    "words",
    [{"concurrency": []}, {"concurrency": [0]}, {"concurrency": ["many"]}, {"request_rate": [-1.0]}, {"input_tokens": [1.5]},
     {"concurrency": range(1, 4000), "input_tokens": range(1, 4000)}, {"price": "2 USD/h"}, {"concurrensy": [1]}],
)  # fmt: skip
def test_mistakes_are_told(words: dict[str, Any]) -> None:
    with pytest.raises(InvalidQuestion):
        llmsizer.sweep("llama-3.1-8b", "h100", **words)


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownName):
        llmsizer.sweep("llama-3.1-8b", ["h100", "h1000"])
    with pytest.raises(UnknownName, match="column"):
        llmsizer.sweep("llama-3.1-8b", "h100")["latency.tpot"]


def test_a_sweep_as_data() -> None:
    found = llmsizer.sweep("llama-3.1-8b", "h100", request_rate=np.array([1.0, 500.0]))
    assert len(found) == 2
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["words"] == {"request_rate": [1.0, 500.0]}
    assert data["columns"]["load.waiting"] == [0.0, None]
    assert [row["decode.bound"] for row in found.to_rows()] == found["decode.bound"].tolist()


def test_a_sweep_as_a_dataframe() -> None:
    pytest.importorskip("pandas")
    frame = llmsizer.sweep("llama-3.1-8b", ["h100", "l40s"], concurrency=[1, 8]).to_dataframe()
    assert frame.shape[0] == 4
    assert frame["concurrency"].tolist() == [1, 8, 1, 8]


def test_order_is_deployments_then_loads() -> None:
    found = llmsizer.sweep("llama-3.1-8b", ["h100", "l40s"], concurrency=[1, 8], quantization=["fp8", None])
    assert found["hardware"].tolist() == ["h100"] * 4 + ["l40s"] * 4
    assert found["quantization"].tolist() == ["fp8", "fp8", None, None] * 2
    assert found["concurrency"].tolist() == [1, 8] * 4


def test_fixed_point_of_a_jump_and_of_arrays() -> None:
    most, jumps = 10.0 + np.arange(999) % 7, np.arange(999) % 5 == 0
    starts, asked = np.linspace(0.5, 9.5, 999), []

    def respond(x: Any, chosen: Any) -> Any:
        asked.append(x)
        limit, has_jump = (most, jumps) if chosen is None else (most[chosen], jumps[chosen])
        return np.where(has_jump, np.where(x < 3.0, 7.0, 1.0), limit - x**2 / (2.0 * limit))

    def alone(place: int) -> float:
        def one(x: float, _: Any) -> float:
            return float(respond(np.array([x]), np.array([place]))[0])

        return float(fixed_point(one, float(starts[place]), float(most[place])))

    together = fixed_point(respond, starts, most)
    assert asked[-1].tolist() == together.tolist()
    assert min(len(each) for each in asked) < 999
    assert together[jumps] == pytest.approx(3.0, abs=1e-3)
    assert together == pytest.approx(np.array([alone(place) for place in range(999)]), rel=1e-12)
