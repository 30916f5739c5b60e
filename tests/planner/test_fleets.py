"""A fleet answers for every device what the device alone answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import llmsizer
from llmsizer.planner.fleets import fleets_of
from llmsizer.planner.screen import loads
from llmsizer.question.ask import ask
from llmsizer.question.words import Words

DEVICES = ("v100-sxm2-32gb", "a100-sxm4-80gb", "l40s", "rtx-4090", "h100-sxm5-80gb", "h200-sxm5-141gb", "b200-sxm6", "mi300x")
CASES = (
    Words(model="llama-3.1-8b", hardware="", engine="vllm"),
    Words(model="llama-3.1-70b", hardware="", engine="vllm", tensor_parallel_size=4, input_tokens=4000, output_tokens=500),
    Words(model="qwen3-30b-a3b", hardware="", engine="vllm", tensor_parallel_size=2, pipeline_parallel_size=2),
    Words(model="deepseek-v2-lite", hardware="", engine="sglang", data_parallel_size=2, enable_expert_parallel=True),
    Words(model="llama-3.1-8b", hardware="", engine="sglang", quantization="fp8"),
    Words(model="gpt-oss-20b", hardware="", engine="vllm", prefix_cache_hit_rate=0.4),
    Words(model="gemma-3-27b", hardware="", engine="vllm", quantization="awq", tensor_parallel_size=2),
    Words(model="qwen3-next-80b-a3b", hardware="", engine="vllm", tensor_parallel_size=4, quantization="fp8"),
)


@pytest.mark.parametrize("words", CASES, ids=lambda words: words.model)
def test_every_device_answers_as_it_does_alone(words: Words, catalog: llmsizer.Catalog) -> None:
    devices = [catalog.accelerator(name) for name in DEVICES]
    seen = 0
    for fleet in fleets_of(words, devices, catalog)[0]:
        held = fleet.held(words, catalog, np.arange(len(fleet.devices)))
        assert held is not None
        found = loads(held.case, held.most)
        for row, place in enumerate(held.places.tolist()):
            for column in (1, 4, 7):
                if not found.holds[row, column]:
                    continue
                rate = float(found.rate[row, column])
                alone = ask(replace(words, hardware=fleet.devices[place].id, request_rate=rate), catalog)
                assert alone.latency is not None
                for name, values in found.figures.items():
                    assert values[row, column] == pytest.approx(getattr(alone.latency, name), rel=2e-4), name
                seen += 1
    assert seen >= 9


@pytest.mark.parametrize("words", CASES, ids=lambda words: words.model)
def test_what_a_fleet_holds_is_what_fits(words: Words, catalog: llmsizer.Catalog) -> None:
    devices = [catalog.accelerator(name) for name in DEVICES]
    for fleet in fleets_of(words, devices, catalog)[0]:
        held = fleet.held(words, catalog, np.arange(len(fleet.devices)))
        places = set(held.places.tolist()) if held is not None else set()
        for place, device in enumerate(fleet.devices):
            assert ask(replace(words, hardware=device.id), catalog).fits == (place in places), device.id
