"""What the device reaches at best: copies, matrix products, attention, launches.

Operands are random and rotate through a pool that no cache holds; on CUDA kernels are timed inside a
graph, so that what the host adds is measured apart (``launch`` and ``graph``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from llmsizer.authoring.measure.graphs import captured, in_turn
from llmsizer.authoring.measure.timing import Deadline, Patience, Timing, timed
from llmsizer.authoring.measure.torch_device import POOL_BYTES, TorchDevice

MOST_OPERANDS = 64


@dataclass(frozen=True, slots=True)
class Grid:
    """The shapes to measure. ``copies`` in bytes; ``products`` are (n, k), with each of ``rows`` rows;
    ``heads`` are (query heads, key/value heads, head width)."""

    copies: tuple[int, ...] = (1 << 16, 1 << 20, 1 << 24, 1 << 28, 1 << 30)
    dtypes: tuple[str, ...] = ("bf16", "fp16", "fp32")
    rows: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    products: tuple[tuple[int, int], ...] = ((4096, 4096), (14336, 4096), (4096, 14336), (2048, 2048), (1024, 8192))
    heads: tuple[tuple[int, int, int], ...] = ((32, 8, 128), (32, 32, 128), (8, 2, 64))
    prefills: tuple[tuple[int, int], ...] = ((1, 128), (1, 1024), (1, 4096), (1, 16384), (8, 1024))
    decodes: tuple[tuple[int, int], ...] = ((1, 128), (1, 4096), (1, 32768), (16, 1024), (64, 4096))


SMALL = Grid(
    copies=(1 << 16, 1 << 20, 1 << 24, 1 << 27), dtypes=("bf16", "fp32"), rows=(1, 4, 16, 64, 256, 1024),
    products=((896, 896), (4864, 896), (896, 4864), (2048, 2048), (8192, 2048), (2048, 8192), (32000, 2048)),
    heads=((14, 2, 64), (32, 8, 64)), prefills=((1, 16), (1, 128), (1, 512), (1, 2048), (4, 128)),
    decodes=((1, 16), (1, 128), (1, 1024), (1, 4096), (4, 512)),
)  # fmt: skip

Row = dict[str, Any]


def ceiling_rows(device: TorchDevice, grid: Grid, patience: Patience, deadline: Deadline) -> Iterator[Row]:
    """One row for each ceiling, until the deadline; a shape that fails is a row that says why."""
    for facts, make in _work(device, grid):
        if deadline.left() <= 0:
            return
        try:
            yield facts | measured(device, make(), patience).to_dict()
        except (RuntimeError, ValueError, NotImplementedError) as error:
            yield {**facts, "failed": str(error).split("\n")[0][:200]}
        device.release()


def measured(device: TorchDevice, works: Sequence[Callable[[], Any]], patience: Patience) -> Timing:
    """The time of one of several equal pieces of work on operands of their own."""
    run = captured(device, in_turn(works))
    return timed(device, run, patience).shared(len(works))


Work = tuple[Row, Callable[[], Sequence[Callable[[], Any]]]]


def _work(device: TorchDevice, grid: Grid) -> Iterator[Work]:
    yield {"kind": "launch"}, partial(_launch, device)
    for size in grid.copies:
        yield {"kind": "copy", "bytes": size}, partial(_copies, device, size)
    shapes = product(grid.dtypes, grid.products, grid.rows)
    for dtype, (n, k), m in shapes:
        facts = {"kind": "matmul", "dtype": dtype, "m": m, "n": n, "k": k}
        yield facts, partial(_products, device, **_sizes(facts))
    for heads, (batch, length) in product(grid.heads, grid.prefills):
        facts = _attention_facts("attention_prefill", heads, batch, length)
        yield facts, partial(_attention, device, **_sizes(facts), prefill=True)
    for heads, (batch, length) in product(grid.heads, grid.decodes):
        facts = _attention_facts("attention_decode", heads, batch, length)
        yield facts, partial(_attention, device, **_sizes(facts), prefill=False)


def _sizes(facts: Mapping[str, Any]) -> Row:
    return {name: value for name, value in facts.items() if name != "kind"}


def _attention_facts(kind: str, heads: tuple[int, int, int], batch: int, length: int) -> Row:
    query, groups, width = heads
    return {
        "kind": kind,
        "dtype": "bf16",
        "heads": query,
        "groups": groups,
        "head_dim": width,
        "batch": batch,
        "length": length,
    }


def _launch(device: TorchDevice) -> list[Callable[[], Any]]:
    """The smallest kernel there is; inside a graph where there are graphs (``launch_seconds`` is of eager work)."""
    tensor = device.random(16, dtype=device.torch.float32)
    return [lambda: tensor.add_(1.0)] * 100


def host_launch_seconds(device: TorchDevice, patience: Patience) -> Timing:
    """Time per call of the smallest kernel, each launched by the host."""
    tensor = device.random(16, dtype=device.torch.float32)
    return timed(device, in_turn([lambda: tensor.add_(1.0)] * 100), patience).shared(100)


def _operands(device: TorchDevice, size: float) -> int:
    """How many sets of operands of some bytes fill the pool."""
    return int(max(1, min(MOST_OPERANDS, POOL_BYTES[device.kind] // max(size, 1))))


def _alike(tensor: Any, count: int) -> list[Any]:
    """Tensors of equal content in memory of their own."""
    return [tensor, *(tensor.clone() for _ in range(count - 1))]


def _copies(device: TorchDevice, size: int) -> list[Callable[[], Any]]:
    dtype = device.torch.bfloat16
    sources = _alike(device.random(size // 2, dtype=dtype), _operands(device, 2 * size))
    return [partial(device.torch.empty_like(source).copy_, source) for source in sources]


def _products(device: TorchDevice, dtype: str, m: int, n: int, k: int) -> list[Callable[[], Any]]:
    kind = device.dtype(dtype)
    inputs = device.random(m, k, dtype=kind)
    output = device.poisoned(m, n, dtype=kind)
    count = _operands(device, n * k * inputs.element_size())
    weights = _alike(device.random(n, k, dtype=kind, scale=k**-0.5), count)
    return [partial(device.torch.mm, inputs, weight.T, out=output) for weight in weights]


def _attention(
    device: TorchDevice, dtype: str, heads: int, groups: int, head_dim: int, batch: int, length: int, prefill: bool
) -> list[Callable[[], Any]]:
    kind, attend = device.dtype(dtype), device.torch.nn.functional.scaled_dot_product_attention
    queries = device.random(batch, heads, length if prefill else 1, head_dim, dtype=kind)
    count = _operands(device, 2 * batch * groups * length * head_dim * queries.element_size())
    caches = _alike(device.random(2, batch, groups, length, head_dim, dtype=kind), min(count, 8) if prefill else count)
    how = {"is_causal": prefill, "enable_gqa": heads != groups}
    return [partial(attend, queries, cache[0], cache[1], **how) for cache in caches]
