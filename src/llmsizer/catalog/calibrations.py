"""Which fitted curves apply to a device and an engine.

The nearest measurement wins: the device's own curve, then its architecture's, then its vendor's,
then the one pooled over all. A curve of the engine's own kernels goes before one pooled over
engines. What is not the device's own says so by its tier, and its architecture's curve is carried over
to the device's units and peak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.explain import Provenance, Source, plain
from llmsizer.formulas.carrying import carried_compute_fraction, carried_memory_fraction, carried_waves
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.calibration import Calibration, Curve

FAMILIES = {
    "matmul": "matmul", "experts": "experts", "pointwise": "pointwise", "host_copy": "host_copy",
    "attention_prefill": "attention_prefill", "attention_decode": "attention_decode",
    "latent_prefill": "latent_prefill", "latent_decode": "latent_decode",
    "scan_prefill": "scan_prefill", "scan_decode": "scan_decode",
    "all_reduce": "collectives", "all_gather": "collectives", "reduce_scatter": "collectives",
    "all_to_all": "collectives", "point_to_point": "collectives",
}  # fmt: skip
# Files with curves of several families: of vendors and engines with kernels of their own, of processors.
SHARED = ("vendors", "llama_cpp", "processors")
NAMES = ("auto", "ideal")
ANY_FORMAT = "any"
# Parameters that a curve may leave out, and what they are then.
OMITTED: Mapping[str, Mapping[str, float]] = {"matmul": {"least_rows": 0.0}}


def calibration_of(name: str, accelerator: Accelerator, engine: str) -> Calibration:
    """The calibration of a device under an engine: ``auto`` (fitted curves), ``ideal`` (peaks) or a file of
    ``llmsizer fit``."""
    is_file = name.endswith((".yaml", ".yml"))
    if name not in NAMES and not is_file:
        known = f"known: {', '.join(NAMES)}, or a file of llmsizer fit"
        raise InvalidQuestion(f"--calibration: '{name[:40]}' is not known", known)
    built_in = "auto" if is_file else name
    find = _finder(built_in, _Chip.of(accelerator), engine)
    if is_file:
        from llmsizer.catalog.local_calibrations import calibration_with_file

        return calibration_with_file(name, accelerator, engine, find)
    return Calibration(name, accelerator.id, find)


def calibration_by(documents: Mapping[str, Any], accelerator: Accelerator, engine: str) -> Calibration:
    """The calibration of a device by other fits: ``documents`` replace the built-in files of their names."""
    place = _Place(_Chip.of(accelerator), engine, documents)
    return Calibration("auto", accelerator.id, lru_cache(maxsize=None)(place.find))


@lru_cache(maxsize=512)
def _finder(name: str, chip: _Chip, engine: str) -> Callable[[str, str], Curve | None]:
    """Looks curves up, each once; a calibration of its own for every case then tells what that case used."""
    return lru_cache(maxsize=None)(_ideal if name == "ideal" else _Place(chip, engine).find)


@dataclass(frozen=True, slots=True)
class _Chip:
    """What of a device decides which curves it has, and how they are carried over to it."""

    id: str
    architecture: str
    vendor: str
    units: float | None
    memory_bandwidth: float
    peaks: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, accelerator: Accelerator) -> _Chip:
        units = None if accelerator.units is None else float(plain(accelerator.units))
        peaks = tuple((name, float(plain(peak))) for name, peak in accelerator.peak_dense.items())
        bandwidth = float(plain(accelerator.memory_bandwidth))
        return cls(accelerator.id, accelerator.architecture, accelerator.vendor, units, bandwidth, peaks)


class _Place:
    """A device and engine that look for curves."""

    def __init__(self, chip: _Chip, engine: str, documents: Mapping[str, Any] | None = None) -> None:
        self.chip, self.device, self.architecture, self.vendor = chip, chip.id, chip.architecture, chip.vendor
        self.engine, self.documents = engine, documents or {}
        relatives = package_data("calibrations/vendors.yaml")["architecture_resembles"]
        self.relative = relatives.get(chip.architecture, chip.architecture)

    def find(self, family: str, format_: str) -> Curve | None:
        """The nearest curve of a family in a format, or in a format whose kernels resemble it. A format may name
        its kernel library (``nvfp4/trtllm-gen``); where no curve of that applies, the engine's own kernels do."""
        document = self._document(FAMILIES[family])
        shared = (self._document(name)["curves"] for name in SHARED)
        curves = [*document["curves"], *(curve for several in shared for curve in several)]
        plainly = format_.partition("/")[0]
        resembling = package_data("number_formats.yaml")["kernel_resembles"].get(plainly, ())
        for name in dict.fromkeys((format_, plainly, *resembling, ANY_FORMAT)):
            fitting = [curve for curve in curves if _is_of(curve, family, name)]
            ranked = [(rank, curve) for curve in fitting if (rank := self._rank(curve)) is not None]
            if ranked:
                curve = max(ranked, key=lambda pair: pair[0])[1]
                return self._made(document, curve, family, format_, resembles=name not in (format_, plainly))
        return None

    def _document(self, name: str) -> Any:
        return self.documents[name] if name in self.documents else package_data(f"calibrations/{name}.yaml")

    def _rank(self, curve: Mapping[str, Any]) -> tuple[float, int] | None:
        """How near a curve is; None when it belongs to others."""
        backend = curve.get("backend")
        if backend not in (None, self.engine):
            return None
        near: float | None
        if curve.get("device") is not None:
            near = 4 if curve["device"] == self.device else None
        elif curve.get("architecture") is not None:
            near = {self.architecture: 3, self.relative: 2.5}.get(curve["architecture"])
        elif curve.get("vendor") is not None:
            near = 2 if curve["vendor"] == self.vendor else None
        else:
            near = 1
        own = 10 if curve.get("own_kernels") else 0
        return None if near is None else (near + own, int(backend is not None))

    def _made(self, document: Mapping[str, Any], curve: Mapping[str, Any], family: str, format_: str, resembles: bool) -> Curve:
        own = not resembles and (curve.get("device") == self.device or self.device in curve.get("devices", ()))
        tier = curve.get("tier") or ("interpolated" if own else "extrapolated")
        shown = curve.get("shapes_left_out") if own else curve.get("device_left_out") or curve.get("shapes_left_out")
        title = f"calibration of {family}: {_where(curve)}, {curve.get('format') or curve.get('fabric')}"
        parameters, carried = self._parameters(family, curve)
        if carried:
            title += f", carried over to {self.chip.units:g} units"
        origin = "; ".join(str(source["title"]) for source in document.get("sources", ()))
        source = Source(f"{title} ({origin})" if origin else title, str(document.get("date", "")), tier)
        error = shown.get("median") if isinstance(shown, Mapping) else None
        return Curve(family=family, format=format_, parameters=parameters, tier=tier, error=error,
                     peak_of=curve.get("peak_of"), line=(curve,), provenance=Provenance(source))  # fmt: skip

    def _parameters(self, family: str, curve: Mapping[str, Any]) -> tuple[dict[str, float], bool]:
        """A curve's parameters; those of an architecture's products carried over to the units and peak of a device
        that they were not measured on, and whether they were."""
        found = complete(family, curve["parameters"])
        measured = curve.get("measured_on")
        peak, units = dict(self.chip.peaks).get(curve.get("peak_of") or ""), self.chip.units
        if measured is None or peak is None or units is None or self.device in curve["devices"]:
            return found, False
        of = float(measured["units"])
        found["wave_elements"] = float(carried_waves(found["wave_elements"], units, of))
        found["compute_fraction"] = float(
            carried_compute_fraction(found["compute_fraction"], peak, units, measured["peak"], of)
        )
        bandwidth, before = self.chip.memory_bandwidth, measured["memory_bandwidth"]
        found["memory_fraction"] = float(carried_memory_fraction(found["memory_fraction"], bandwidth, units, before, of))
        return found, True


def complete(family: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """A curve's parameters with those that it leaves out."""
    return {**OMITTED.get(family, {}), **parameters}


def _is_of(curve: Mapping[str, Any], family: str, format_: str) -> bool:
    if curve.get("family") not in (None, family):
        return False
    if curve.get("kind") is not None:
        return bool(curve["kind"] == family and (curve.get("fabric") or ANY_FORMAT) == format_)
    return bool((curve["format"] or ANY_FORMAT) == format_)


def _where(curve: Mapping[str, Any]) -> str:
    place = curve.get("device") or curve.get("architecture") or curve.get("vendor") or "all devices"
    return f"{place}, {curve['backend']} kernels" if curve.get("backend") else str(place)


def _ideal(family: str, format_: str) -> Curve:
    """The parameters at which a family's formula gives peak rates and no overhead."""
    source = Source("no calibration: peak rates, no overhead (a lower bound)", "", "assumed")
    parameters = ideal_parameters(family)
    return Curve(family=family, format=format_, parameters=parameters, tier="assumed", provenance=Provenance(source))


def ideal_parameters(family: str) -> Mapping[str, float]:
    """The parameters of a family's formula, at their ideal values."""
    document = package_data(f"calibrations/{FAMILIES[family]}.yaml")
    given = document.get("ideal") or {name: ideal_value(name) for name in document["curves"][0]["parameters"]}
    found: Mapping[str, float] = given.get(family, given)
    return found


def ideal_value(parameter: str) -> float:
    """What a parameter is where nothing is lost: fractions and traffic 1, times and padding 0."""
    if parameter.endswith("_fraction") or parameter in {"activation_traffic", "routing_assignments"}:
        return 1.0
    return 0.0


def covered_devices() -> Sequence[str]:
    """Devices that some curve was fitted on."""
    found: dict[str, None] = {}
    for name in dict.fromkeys(FAMILIES.values()):
        for curve in package_data(f"calibrations/{name}.yaml")["curves"]:
            found |= dict.fromkeys(curve.get("devices", ()))
    return list(found)


def covered_vendors() -> Sequence[str]:
    """Vendors for whose devices as a whole some factor was fitted."""
    curves = package_data("calibrations/vendors.yaml")["curves"]
    return list(dict.fromkeys(str(curve["vendor"]) for curve in curves if curve.get("vendor")))
