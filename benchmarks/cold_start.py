"""The whole process of ``llmsizer estimate``: wall time and peak memory, on two cores.

Needs an installed llmsizer (``pip install .`` or ``pip install -e .``) in the Python that runs this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from timing import figure, report, seconds_of

COMMAND = [sys.executable, "-m", "llmsizer", "estimate", "-m", "llama-3.1-8b", "-g", "h100"]
RUNS = 25


def pinned(command: list[str]) -> list[str]:
    """The command held to two cores, where the system can."""
    return ["taskset", "--cpu-list", "0,1", *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 2 else command


def run(command: list[str]) -> None:
    """Runs a command to its end; a failure ends the benchmark."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def peak_mebibytes() -> float:
    """The largest resident memory of the children so far, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    empty = [sys.executable, "-c", "pass"]
    bare = seconds_of(lambda: run(pinned(empty)), RUNS)
    whole = seconds_of(lambda: run(pinned(COMMAND)), RUNS)
    as_json = seconds_of(lambda: run(pinned([*COMMAND, "--format", "json"])), RUNS)
    figures = [
        figure("python alone", "s", bare),
        figure("llmsizer estimate", "s", whole, budget=0.3),
        figure("llmsizer estimate --format json", "s", as_json, budget=0.3),
        figure("peak resident memory", "MiB", [peak_mebibytes()], budget=300e6 / 2**20),
    ]
    report("Cold start (whole process)", figures)


if __name__ == "__main__":
    main()
