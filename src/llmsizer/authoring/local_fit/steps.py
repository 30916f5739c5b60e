"""Engine figures, and what scales the curves, fitted to measured steps and benchmark runs.

Every figure starts at what llmsizer would use by itself and is held there by a weak prior, so that a
figure that the measurements say nothing about stays where it was.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.schema.calibration import Calibration, Curve
from llmsizer.schema.deployment import Case
from llmsizer.schema.engine import EngineProfile
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock

# Limits of what is fitted: seconds of the engine, and factors on the fractions of the curves.
LIMITS = {
    "layer_seconds": (1e-7, 2e-2), "host_step_seconds": (1e-6, 1e-1), "front_end": (1e-4, 2.0), "launch_seconds": (1e-6, 1e-4),
    "compute": (0.05, 20.0), "memory": (0.05, 5.0), "streaming": (0.01, 2.0),
}  # fmt: skip
SMALLEST_START = 1e-5
# What an e-fold away from the start costs, in errors of one row: little where nothing is known of the device, more
# for the factor of a curve that was fitted to its own kernels.
PRIOR, PRIOR_OF_OWN = 0.03, 1.0
ROBUST_SCALE = 0.1
LARGEST_FRACTION = 0.98
FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One measured figure: a case with its memory, which latency (``ttft`` or ``tpot``), and its seconds."""

    case: Case
    memory: MemoryEstimate
    quantity: str
    seconds: float

    def logarithm(self, engine: EngineProfile, calibration: Calibration) -> float:
        """ln(estimate / measured) under an engine and a calibration."""
        case = replace(self.case, engine=engine_with(self.case.engine, engine), calibration=calibration)
        steady = steady_state(case, self.memory, StepClock(case))
        estimate = float(plain(getattr(steady, f"{self.quantity}_seconds")))
        return math.log(max(estimate, 1e-9) / self.seconds)


def engine_with(profile: EngineProfile, figures: EngineProfile) -> EngineProfile:
    """A profile with the fitted figures of another."""
    names = ("layer_seconds", "host_step_seconds", "front_end", "launch_seconds")
    return replace(profile, **{name: getattr(figures, name) for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Figures of an engine and factors on curves."""

    values: Mapping[str, float]
    engine: EngineProfile
    curves: Callable[[str, str], Curve | None]

    def calibration(self, device: str) -> Calibration:
        """A calibration of the scaled curves."""
        return Calibration("fitted", device, self.curves)


class StepFit:
    """Fits samples of one engine on one device; ``find`` looks up the curves as they are, ``own`` holds the
    formats whose products were measured on the device itself."""

    def __init__(self, samples: Sequence[Sample], find: Callable[[str, str], Curve | None], own: Collection[str] = ()) -> None:
        self.samples, self.find, self.own = list(samples), find, own
        self.engine, self.device = samples[0].case.engine, samples[0].case.accelerator.id
        self.names = self._names()

    def _names(self) -> list[str]:
        """What the samples can tell: the front end only where one was in the way, and of every format that the
        estimates rested on how far its kernels are from peak and bandwidth."""
        names = ["layer_seconds", "host_step_seconds", "streaming"]
        if float(self.engine.front_end) > 0:
            names.append("front_end")
        if any(sample.case.enforce_eager and sample.case.accelerator.is_cuda for sample in self.samples):
            names.append("launch_seconds")
        curves = (curve for sample in self.samples for curve in used_curves(sample))
        formats = {curve.format for curve in curves if "compute_fraction" in curve.parameters}
        return [*names, *(f"{what} {format_}" for format_ in sorted(formats) for what in ("compute", "memory"))]

    def starts(self) -> dict[str, float]:
        """Where each value starts: the engine's own figures, factors of one."""
        figures = {name: getattr(self.engine, name, None) for name in self.names}
        return {name: 1.0 if value is None else max(float(value), SMALLEST_START) for name, value in figures.items()}

    def fit(self, samples: Sequence[Sample] | None = None) -> Fitted:
        """The values that bring the estimates of some samples closest to their measurements."""
        import numpy as np

        optimize = importlib.import_module("scipy.optimize")
        used, starts = self.samples if samples is None else list(samples), self.starts()
        begin = np.log([starts[name] for name in self.names])
        weights = np.array([PRIOR_OF_OWN if name.partition(" ")[2] in self.own else PRIOR for name in self.names])

        def residual(logs: Any) -> Any:
            made = self.made(dict(zip(self.names, np.exp(logs).tolist(), strict=True)))
            prior = weights * (logs - begin)
            return np.concatenate([self.logarithms(made, used), prior])

        limits = np.log([LIMITS[name.partition(" ")[0]] for name in self.names]).T
        inside = np.clip(begin, limits[0] + 1e-6, limits[1] - 1e-6)
        found = optimize.least_squares(residual, inside, bounds=(limits[0], limits[1]), loss="soft_l1", f_scale=ROBUST_SCALE,
                                       max_nfev=25, diff_step=0.02)  # fmt: skip
        return self.made(dict(zip(self.names, np.exp(found.x).tolist(), strict=True)))

    def made(self, values: Mapping[str, float]) -> Fitted:
        """Engine and curves under some values."""
        figures = {name: value for name, value in values.items() if hasattr(self.engine, name)}
        kept: dict[tuple[str, str], Curve | None] = {}

        def find(family: str, format_: str) -> Curve | None:
            if (family, format_) not in kept:
                curve = self.find(family, format_)
                kept[family, format_] = None if curve is None else scaled(curve, values)
            return kept[family, format_]

        return Fitted(values, replace(self.engine, **figures), find)  # type: ignore[arg-type]

    def logarithms(self, fitted: Fitted, samples: Sequence[Sample]) -> Any:
        """ln(estimate / measured) of some samples."""
        import numpy as np

        calibration = fitted.calibration(self.device)
        return np.array([sample.logarithm(fitted.engine, calibration) for sample in samples])

    @property
    def models(self) -> list[str]:
        """The models that were measured."""
        return sorted({sample.case.model.id for sample in self.samples})

    def left_out(self) -> list[float]:
        """ln(estimate / measured) of every sample, in order, by a fit without its model (where there is but
        one, without a fifth of the samples)."""
        names = [
            sample.case.model.id if len(self.models) > 1 else str(place % FOLDS) for place, sample in enumerate(self.samples)
        ]
        found = [0.0] * len(self.samples)
        for name in sorted(set(names)):
            places = [place for place, each in enumerate(names) if each == name]
            rest = [sample for sample, each in zip(self.samples, names, strict=True) if each != name]
            fitted = self.fit(rest) if rest else self.made(self.starts())
            logs = self.logarithms(fitted, [self.samples[place] for place in places])
            for place, log in zip(places, logs.tolist(), strict=True):
                found[place] = log
        return found


def used_curves(sample: Sample) -> list[Curve]:
    """The curves that a sample's estimate rested on."""
    return sample.case.calibration.used() if sample.case.calibration is not None else []


def scaled(curve: Curve, values: Mapping[str, float]) -> Curve:
    """A curve with its fractions of peak and bandwidth under the factors of its format."""
    factors = {"compute_fraction": f"compute {curve.format}", "memory_fraction": f"memory {curve.format}"}
    if curve.family == "pointwise":
        factors = {"memory_fraction": "streaming"}
    changed = {
        name: min(float(plain(value)) * values.get(factors.get(name, ""), 1.0), LARGEST_FRACTION) if name in factors else value
        for name, value in curve.parameters.items()
    }
    return replace(curve, parameters=changed)
