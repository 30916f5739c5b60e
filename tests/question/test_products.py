"""Which products run in a step: matrices only, each once a layer."""

from __future__ import annotations

import pytest

import llmsizer


@pytest.mark.parametrize(
    ("model", "routed"), [("deepseek-v3", 58), ("MiniMaxAI/MiniMax-M2", 62), ("gpt-oss-120b", 36), ("Qwen1.5-MoE-A2.7B", 24)]
)
def test_a_router_is_one_product_a_routed_layer(model: str, routed: int) -> None:
    steps = llmsizer.estimate(model, "h200", ignore_memory=True).decode
    assert steps is not None
    assert [each["layers"] for each in steps.operations if each["name"] == "router"] == [routed]
