"""Every number explains itself, and the derivation comes to the same number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cases import answered, asked, words
from hypothesis import given, settings

from llmsizer.core.errors import UnknownName
from llmsizer.core.explain import Value

# Money and energy are told in the units of price lists, derived in base units.
SCALES = {"usd_per_hour": 3600.0, "usd_per_million": 1e6, "kwh_per_thousand": 1000 / 3.6e6}
EXPLAINED = ("memory", "latency", "throughput", "prefill", "decode")


def numbers(told: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Every number of nested plain data with its path; lists (of operations) left out."""
    for key, value in told.items():
        path = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from numbers(value, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path, float(value)


@settings(max_examples=12)
@given(words())
def test_derivations_come_to_the_same_numbers(given: dict[str, Any]):
    estimate = answered(given)
    told = estimate.to_dict()
    for part in EXPLAINED:
        for path, number in numbers(told[part], part):
            value = estimate.value(path)
            assert isinstance(value, Value)
            found = float(int(value.number)) if path.endswith(("tokens", "slots")) and part == "memory" else float(value.number)
            assert found == pytest.approx(number, rel=1e-12), path
    for path, number in numbers({key: value for key, value in told["cost"].items() if key.startswith(("usd", "kwh"))}, "cost"):
        scale = next((factor for start, factor in SCALES.items() if path.startswith(f"cost.{start}")), 1.0)
        assert float(estimate.value(path).number) * scale == pytest.approx(number, rel=1e-9), path


@pytest.mark.parametrize("split", [{"data_parallel_size": 2}, {"pipeline_parallel_size": 2}, {"tensor_parallel_size": 2}])
def test_split_deployments_explain_themselves(split: dict[str, int]):
    estimate = asked(model="llama-3.1-8b", hardware="h100", **split)
    assert estimate is not None
    for path in ("memory.kv_capacity_tokens", "memory.max_concurrency_at_workload", "latency.ttft_seconds"):
        assert "Facts:" in estimate.explain(path)


@settings(max_examples=12)
@given(words())
def test_every_leaf_has_a_source(given: dict[str, Any]):
    estimate = answered(given)
    for path in (
        "memory.per_gpu.weights_bytes",
        "memory.kv_capacity_tokens",
        *(["latency.tpot_seconds"] if estimate.speed else []),
    ):
        value = estimate.value(path)
        text = estimate.explain(path)
        assert value.name in text.splitlines()[0]
        for leaf in value.leaves():
            assert leaf.origin.title, f"{path}: {leaf.name}"  # type: ignore[union-attr]


@settings(max_examples=5)
@given(words())
def test_paths_that_are_none(given: dict[str, Any]):
    estimate = answered(given)
    for path in (
        "",
        ".",
        "memory",
        "memory.",
        "memory.per_gpu",
        "memory.nothing",
        "latency",
        "nothing.at_all",
        "memory.fits",
        "\x00",
        "a" * 9999,
    ):
        with pytest.raises(UnknownName):
            estimate.value(path)
