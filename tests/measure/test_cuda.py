"""Estimates against a CUDA device at hand: `pytest -m cuda`. Skipped, visibly, where there is none.

The device has to be in the catalog: by its driver's name, or through LLMSIZER_CATALOG and LLMSIZER_DEVICE.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.doctor.names import find_device
from llmsizer.validation.run_rows import run_errors
from llmsizer.validation.statistics import ErrorRow

torch = pytest.importorskip("torch", reason="measuring needs torch, which is not installed")
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

MODELS = (
    "meta-llama/Llama-3.2-1B",
    "Qwen/Qwen3-4B",
    "Qwen/Qwen3-30B-A3B",
    "google/gemma-3-4b-it",
    "deepseek-ai/DeepSeek-V2-Lite",
)
# Deep enough that what stands outside the layers does not rule, and small enough for any device.
LAYERS = 12
MEMORY_BOUNDS = {"measured weights": 0.01, "measured KV cache": 0.01, "measured activation peak": 0.15}
# Routed experts run as grouped products here, whose sorted inputs no engine's fused kernel keeps.
ROUTED_PEAK = 0.3
# An 80 % interval leaves a fifth outside; of the few rows of one model at most two fifths may be.
LEAST_INSIDE = 0.6


@pytest.fixture(scope="module")
def nouns() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module", params=MODELS)
def errors(request: pytest.FixtureRequest, nouns: Catalog) -> list[ErrorRow]:
    from llmsizer.authoring.measure.model_runs import Loads
    from llmsizer.authoring.measure.session import Plan, measure
    from llmsizer.authoring.measure.timing import Patience
    from llmsizer.authoring.measure.torch_device import open_device

    device = open_device("cuda")
    name: Any = os.environ.get("LLMSIZER_DEVICE")
    found = nouns.accelerator(name) if name else find_device(device.name(), nouns, device.total_bytes())
    if found is None:
        pytest.skip(f"the catalog has no '{device.name()}': make an entry with `llmsizer hardware probe`")
    loads = Loads(batches=(1, 16), lengths=(512, 4096), contexts=(512, 4096))
    plan = Plan(models=(request.param,), layers=LAYERS, loads=loads, patience=Patience(5, 1.0), seconds=120, hardware=found.id)
    record = measure(device, plan, nouns)
    assert not record["errors"]
    return run_errors(record, nouns, "run")


@pytest.mark.parametrize("quantity", MEMORY_BOUNDS)
def test_bytes(quantity: str, errors: list[ErrorRow]):
    found = [error for error in errors if error.quantity == quantity]
    assert found
    routed = quantity.endswith("peak") and any(name in found[0].id for name in ("A3B", "DeepSeek"))
    assert all(abs(error.error) <= (ROUTED_PEAK if routed else MEMORY_BOUNDS[quantity]) for error in found), found


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_times_lie_in_the_stated_interval(phase: str, errors: list[ErrorRow]):
    found = [error for error in errors if error.quantity == f"measured {phase}, torch" or phase in error.quantity]
    assert found
    assert sum(bool(error.inside) for error in found) >= LEAST_INSIDE * len(found), found
