"""What ``--emit`` names: a launch command for an engine, a manifest, or the benchmark of an estimate."""

from __future__ import annotations

from llmsizer.catalog.engine_flags import recorded_engines
from llmsizer.catalog.engines import engine_names
from llmsizer.core.errors import UnknownName
from llmsizer.handover.benchmark import benchmark_command
from llmsizer.handover.command import launch_command
from llmsizer.handover.kubernetes import manifest
from llmsizer.handover.launch import Launch
from llmsizer.sizing.estimate import Estimate

KUBERNETES, BENCHMARK = "k8s", "bench"


def emitted(estimate: Estimate, what: str, replicas: int = 1, name: str = "") -> Launch | str:
    """The launch command of an engine (``vllm``, ``sglang@0.5.5`` …), the manifest ``k8s`` of so many replicas under a
    ``name`` (the model's where none is given), or the benchmark ``bench`` of one. Raises UnknownName with the nearest."""
    if what == KUBERNETES:
        return manifest(estimate, replicas, name)
    if what == BENCHMARK:
        return benchmark_command(estimate)
    known = engine_names()
    engine = known.get(what.partition("@")[0].lower())
    if engine not in recorded_engines():
        names = [name for name, found in known.items() if found in recorded_engines()]
        raise UnknownName("engine to emit for", what, [*names, KUBERNETES, BENCHMARK])
    return launch_command(estimate, what)
