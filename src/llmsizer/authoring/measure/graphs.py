"""CUDA graphs: work recorded once and replayed without the host's share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llmsizer.authoring.measure.torch_device import TorchDevice


def captured(device: TorchDevice, work: Callable[[], Any]) -> Callable[[], Any]:
    """Work as a graph to replay; the work itself on a device that has no graphs."""
    if not device.is_cuda:
        return work
    cuda = device.torch.cuda
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        work()
    cuda.current_stream().wait_stream(side)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        work()
    return graph.replay  # type: ignore[no-any-return]


def in_turn(works: Sequence[Callable[[], Any]]) -> Callable[[], None]:
    """All of some pieces of work, one after the other."""

    def all_of_them() -> None:
        for work in works:
            work()

    return all_of_them
