"""Peak memory: what Python allocates over many different questions in one process, and the process itself."""

from __future__ import annotations

import itertools
import sys
import tracemalloc

from timing import figure, report

import llmsizer

MODELS = ("llama-3.1-8b", "llama-3.1-70b", "qwen3-32b", "deepseek-v3", "gemma-3-27b")
DEVICES = ("h100", "h200", "mi300x", "l40s", "b200")


def resident_mebibytes() -> float:
    """The largest resident memory of this process so far, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    tracemalloc.start()
    catalog = llmsizer.load_catalog()
    for model, device, split in itertools.product(MODELS, DEVICES, (1, 2, 4, 8)):
        llmsizer.estimate(model, device, tensor_parallel_size=split, catalog=catalog).to_dict()
    allocated = tracemalloc.get_traced_memory()[1] / 2**20
    figures = [
        figure("allocated at most, 100 questions", "MiB", [allocated]),
        figure("resident at most (tracing included)", "MiB", [resident_mebibytes()], budget=300e6 / 2**20),
    ]
    report("Peak memory of one process", figures)


if __name__ == "__main__":
    main()
