"""The event simulation: every engine step is computed, requests queue, share the cache and are preempted.

It knows nothing of models: an engine is the seconds of its steps (``StepTimes``) and its limits.
"""

from __future__ import annotations

from llmsizer.simulation.disaggregated import KvTransfer, simulate_disaggregated
from llmsizer.simulation.result import SimulationResult, Spread, Summary
from llmsizer.simulation.run import simulate
from llmsizer.simulation.spec import EngineSpec
from llmsizer.simulation.steps import StepTimes

__all__ = [
    "EngineSpec",
    "KvTransfer",
    "SimulationResult",
    "Spread",
    "StepTimes",
    "Summary",
    "simulate",
    "simulate_disaggregated",
]
