"""Sums over several devices of one machine, timed in processes of their own."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

from llmsizer.authoring.measure.timing import Patience, Timing, timed
from llmsizer.authoring.measure.torch_device import TorchDevice, load_torch

SIZES = (1 << 14, 1 << 17, 1 << 20, 1 << 23, 1 << 26)
CALLS = 20


def all_reduce_rows(
    device: TorchDevice, ranks: int, patience: Patience, sizes: tuple[int, ...] = SIZES
) -> list[dict[str, Any]]:
    """One row for each message size: NCCL between CUDA devices, gloo between processes otherwise."""
    context = device.torch.multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    settings = {"kind": device.kind, "ranks": ranks, "port": _free_port(), "sizes": sizes, "patience": patience}
    running = device.torch.multiprocessing.spawn(_rank, (settings, told), nprocs=ranks, join=False)
    while not running.join():
        pass
    return list(told.get())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _rank(rank: int, settings: dict[str, Any], told: Any) -> None:
    """One of the processes; the first tells what it saw."""
    torch = load_torch()
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(settings["port"])}
    is_cuda = settings["kind"] == "cuda"
    if is_cuda:
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl" if is_cuda else "gloo", rank=rank, world_size=settings["ranks"])
    device, rows = TorchDevice(torch, settings["kind"]), []
    # Every rank has to call as often as the others: a fixed number of repetitions, however long they take.
    patience = Patience(settings["patience"].repeats, float("inf"))
    for size in settings["sizes"]:
        message = device.random(size // 2, dtype=torch.bfloat16)
        found = timed_together(device, partial(torch.distributed.all_reduce, message), patience)
        rows.append({"kind": "all_reduce", "bytes": size, "ranks": settings["ranks"], **found.to_dict()})
    torch.distributed.destroy_process_group()
    if rank == 0:
        told.put(rows)


def timed_together(device: TorchDevice, work: Any, patience: Patience) -> Timing:
    """Times work that all ranks do at once, in batches of a fixed number of calls."""

    def batch() -> None:
        for _ in range(CALLS):
            work()

    return timed(device, batch, patience, batched=False).shared(CALLS)
