"""Published figures that the code must reproduce, one table a quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.formats import cache_format, number_formats, quantization_scheme
from llmsizer.core.explain import plain
from llmsizer.core.yaml import load_file
from llmsizer.formulas.roofline import ridge_point
from llmsizer.sizing.lowering import active_parameters, total_parameters
from llmsizer.sizing.model_cache import cache_by_kind
from llmsizer.sizing.weights import checkpoint_bytes

Row = Mapping[str, Any]
Found = Iterator[tuple[float, float]]
EXACT = 1e-9


def kv_cache(row: Row, catalog: llmsizer.Catalog) -> Found:
    model = catalog.model(row["model"])
    native = number_formats()[model.torch_dtype]
    kinds = cache_by_kind(model, cache_format(row.get("cache", "bf16")), native)
    yield sum(kind.bytes_per_token for kind in kinds if not kind.window), row["value"]
    window = row.get("window", {"value": 0})
    yield sum(kind.bytes_per_token for kind in kinds if kind.window), window["value"]
    assert {kind.window for kind in kinds if kind.window} == ({window["tokens"]} if "tokens" in window else set())


def weights(row: Row, catalog: llmsizer.Catalog) -> Found:
    model = catalog.model(row["model"])
    scheme = quantization_scheme(row.get("quantization", model.native_quantization))
    yield plain(checkpoint_bytes(model, scheme, number_formats()[model.torch_dtype])), row["value"]


def parameters(row: Row, catalog: llmsizer.Catalog) -> Found:
    model = catalog.model(row["model"])
    yield plain(total_parameters(model)), row["value"]
    if "active" in row:
        yield plain(active_parameters(model)), row["active"]


def ridge_points(row: Row, catalog: llmsizer.Catalog) -> Found:
    device = catalog.accelerator(row["hardware"])
    yield float(ridge_point(device.peak_dense[row["dtype"]], device.memory_bandwidth)), row["value"]


def memory(row: Row, catalog: llmsizer.Catalog) -> Found:
    told: Any = llmsizer.estimate(**row["words"], catalog=catalog).to_dict()
    yield reduce(lambda inner, key: inner[key], row["path"].split("."), told), row["value"]


QUANTITIES: dict[str, Callable[[Row, llmsizer.Catalog], Found]] = {
    each.__name__: each for each in (kv_cache, weights, parameters, ridge_points, memory)
}
FILES = {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
ROWS = [(name, number, row) for name, path in FILES.items() for number, row in enumerate(load_file(path).data["rows"])]


def test_every_table_has_its_quantity():
    assert set(FILES) == set(QUANTITIES)


@pytest.mark.parametrize(
    ("name", "row"),
    [(name, row) for name, _, row in ROWS],
    ids=[f"{name}-{number}-{row.get('model') or row.get('hardware') or row['words']['model']}" for name, number, row in ROWS],
)
def test_published(name: str, row: Row, catalog: llmsizer.Catalog):
    assert len(row["source"]) > 8
    for found, value in QUANTITIES[name](row, catalog):
        assert found == pytest.approx(value, rel=row.get("tolerance", EXACT))
