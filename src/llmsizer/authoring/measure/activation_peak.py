"""The most memory that a piece of work holds besides what was there before it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from llmsizer.authoring.measure.torch_device import TorchDevice


def activation_peak(device: TorchDevice, work: Callable[[], Any]) -> float:
    """Bytes at the peak: by the allocator on CUDA, by the tensors alive on the processor."""
    if not device.is_cuda:
        return _peak_of_tensors(device, work)
    work()
    device.wait()
    cuda = device.torch.cuda
    before = cuda.memory_allocated()
    cuda.reset_peak_memory_stats()
    result = work()
    device.wait()
    peak = float(cuda.max_memory_allocated() - before)
    del result
    return peak


def _peak_of_tensors(device: TorchDevice, work: Callable[[], Any]) -> float:
    """The peak of the storages that operations make; what kernels use inside is not seen."""
    from importlib import import_module

    modes = import_module("torch.utils._python_dispatch")
    tree = import_module("torch.utils._pytree")
    known: set[int] = set()
    held = {"now": 0, "peak": 0}

    def forget(pointer: int, size: int) -> None:
        known.discard(pointer)
        held["now"] -= size

    def see(tensor: Any) -> None:
        storage = tensor.untyped_storage()
        pointer, size = storage.data_ptr(), storage.nbytes()
        if pointer and pointer not in known:
            known.add(pointer)
            held["now"] += size
            held["peak"] = max(held["peak"], held["now"])
            weakref.finalize(storage, forget, pointer, size)

    class Watch(modes.TorchDispatchMode):  # type: ignore[name-defined,misc]
        """Sees every tensor that an operation returns, and knows those it was given."""

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = [leaf for leaf in tree.tree_leaves((args, kwargs)) if isinstance(leaf, device.torch.Tensor)]
            before = {leaf.untyped_storage().data_ptr() for leaf in given}
            made = function(*args, **(kwargs or {}))
            for leaf in tree.tree_leaves(made):
                if isinstance(leaf, device.torch.Tensor) and leaf.untyped_storage().data_ptr() not in before:
                    see(leaf)
            return made

    with Watch():
        result = work()
    del result
    return float(held["peak"])
