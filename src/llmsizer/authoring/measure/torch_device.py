"""The device at hand as torch sees it: memory, waiting, graphs and what a record says about it."""

from __future__ import annotations

import gc
import importlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmsizer.core.errors import InvalidQuestion, LlmsizerError

KINDS = ("cuda", "cpu")
# Operands of a kernel rotate through a pool of this many bytes, so that no cache holds them.
POOL_BYTES = {"cuda": 1 << 30, "cpu": 1 << 28}


def load_torch() -> Any:
    """The torch module. Raises LlmsizerError where it is missing."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise LlmsizerError("measuring needs torch, which is not installed", "pip install 'llmsizer[measure]'") from error


@dataclass(frozen=True, slots=True)
class TorchDevice:
    """A device to measure on; ``kind`` as torch names it (ROCm devices are ``cuda`` to torch)."""

    torch: Any
    kind: str

    @property
    def is_cuda(self) -> bool:
        """Whether the device runs kernels of its own, beside the host."""
        return self.kind == "cuda"

    def dtype(self, name: str) -> Any:
        """Torch's type for a number format of ours."""
        names = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "int8": "int8"}
        if name not in names:
            raise InvalidQuestion(f"--dtype: '{name[:40]}' cannot be measured", f"known: {', '.join(names)}")
        return getattr(self.torch, names[name])

    def empty(self, *shape: int, dtype: Any) -> Any:
        """An uninitialised tensor."""
        return self.torch.empty(shape, dtype=dtype, device=self.kind)

    def random(self, *shape: int, dtype: Any, scale: float = 1.0) -> Any:
        """Normally distributed numbers: products of zeros draw less power and run faster."""
        return self.empty(*shape, dtype=dtype).normal_(0.0, scale)

    def poisoned(self, *shape: int, dtype: Any) -> Any:
        """A tensor of NaN: whatever reads a part that was never written cannot give a finite result."""
        return self.empty(*shape, dtype=dtype).fill_(float("nan"))

    def wait(self) -> None:
        """Waits until all work is done."""
        if self.is_cuda:
            self.torch.cuda.synchronize()

    def release(self) -> None:
        """Gives memory that nothing uses back to the device."""
        gc.collect()
        if self.is_cuda:
            self.torch.cuda.empty_cache()

    def free_bytes(self) -> float:
        """Memory that new tensors can have."""
        if self.is_cuda:
            return float(self.torch.cuda.mem_get_info()[0])
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))

    def total_bytes(self) -> float:
        """Memory of the device as a process sees it."""
        if self.is_cuda:
            return float(self.torch.cuda.mem_get_info()[1])
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))

    def name(self) -> str:
        """The device's name as its driver or the kernel prints it."""
        return str(self.torch.cuda.get_device_name()) if self.is_cuda else processor_name()

    def environment(self) -> dict[str, Any]:
        """What a record says about the place and the day of a run."""
        found: dict[str, Any] = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "device": self.name(),
            "kind": self.kind,
            "memory_bytes": self.total_bytes(),
            "torch": str(self.torch.__version__),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
        }
        return found | (self._cuda_environment() if self.is_cuda else self._cpu_environment())

    def _cuda_environment(self) -> dict[str, Any]:
        properties = self.torch.cuda.get_device_properties(0)
        major, minor = self.torch.cuda.get_device_capability()
        found = {
            "devices": self.torch.cuda.device_count(),
            "compute_capability": f"{major}.{minor}",
            "units": properties.multi_processor_count,
            "cuda": self.torch.version.cuda or f"ROCm {self.torch.version.hip}",
        }
        return found | _driver_facts()

    def _cpu_environment(self) -> dict[str, Any]:
        return {
            "threads": self.torch.get_num_threads(),
            "instructions": self.torch.backends.cpu.get_cpu_capability(),
            "load_average": round(os.getloadavg()[0], 2),
        }


def open_device(kind: str | None = None, threads: int | None = None) -> TorchDevice:
    """The device to measure: CUDA (or ROCm) where there is one, else the processor with so many threads.

    Raises LlmsizerError without torch, InvalidQuestion for a kind that is not there.
    """
    torch = load_torch()
    has_cuda = bool(torch.cuda.is_available())
    chosen = kind or ("cuda" if has_cuda else "cpu")
    if chosen not in KINDS:
        raise InvalidQuestion(f"--device: '{chosen[:40]}' is not known", f"known: {', '.join(KINDS)}")
    if chosen == "cuda" and not has_cuda:
        raise InvalidQuestion("--device: torch sees no CUDA device here", "leave --device out to measure the processor")
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    return TorchDevice(torch, chosen)


def processor_name() -> str:
    """The processor's model name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


_ASKED = {"driver": "driver_version", "sm_clock": "clocks.sm", "memory_clock": "clocks.mem", "power_limit": "power.limit"}


def _driver_facts() -> dict[str, Any]:
    """Driver, clocks and power limit from nvidia-smi; nothing where it cannot be asked."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_ASKED.values())}", "--format=csv,noheader", "--id=0"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in told.stdout.strip().split("\n")[0].split(",")]
    return dict(zip(_ASKED, values, strict=False)) if len(values) == len(_ASKED) else {}


def say(text: str) -> None:
    """Tells on the error stream how far a measurement is."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
