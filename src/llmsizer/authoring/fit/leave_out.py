"""The calibration files as they would be had one device never been measured.

Every curve that rests on rows of the device is fitted again to the rows of the others; a curve that
rests on the device alone is dropped, so that what is found instead belongs to its class. Curves of
fabrics stay: they belong to links, not to devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit import attention, experts, matmul, scans
from llmsizer.authoring.fit.attention_files import GENERIC_FIXED, TwoStarts, sampled
from llmsizer.authoring.fit.measured import measured_devices, measured_rows, read_measured
from llmsizer.authoring.fit.pooling import FEWEST_ROWS, RESCALED, Fitter
from llmsizer.authoring.fit.regenerate_kernels import table_rows
from llmsizer.authoring.fit.rows import Rows
from llmsizer.authoring.fit.tables import DEVICES
from llmsizer.catalog.package_data import package_data

# Files whose curves were not fitted to the tables: a device's own go, shared ones stay as they are.
OTHER_FILES = ("pointwise", "vendors")


@dataclass(frozen=True, slots=True)
class Family:
    """One calibration file: how its curves are fitted, and to which rows."""

    fitter: Fitter
    rows: Sequence[Rows]
    generic_fixed: Mapping[str, float]


def kernel_families(source: Path | None, measurements: Path) -> dict[str, Family]:
    """The families fitted to kernel tables. Raises CatalogError when the tables are not there."""
    document = read_measured(measurements / "kernels_matmul.yaml")
    devices = measured_devices(document, names=DEVICES.values())
    products = [*matmul.read_rows(source, devices), *measured_rows(document, "matmul", "public", devices)]
    own, shared = experts.read_rows(source, devices)
    found = {
        "matmul": Family(Fitter(matmul.EQUATION, matmul.PARAMETERS), products, {}),
        "experts": Family(Fitter(experts.EQUATION, experts.PARAMETERS), [*own, *shared], {}),
    }
    tables = table_rows(source, read_measured(measurements / "kernels_attention.yaml"))
    for name, rows in tables.items():
        found[name] = _table_family(name, rows)
    return found


def _table_family(name: str, rows: Sequence[Rows]) -> Family:
    if name in attention.FAMILIES:
        family = attention.FAMILIES[name]
        fitter, chosen = TwoStarts(family.equation, family.parameters), sampled(rows)
    else:
        equation, parameters, _ = scans.FAMILIES[name]
        fitter, chosen = TwoStarts(equation, parameters), sampled(list(scans.with_inputs(name, rows)))
    names = {one.name for one in fitter.parameters}
    return Family(fitter, chosen, {key: value for key, value in GENERIC_FIXED.items() if key in names})


def documents_without(device: str, families: Mapping[str, Family]) -> dict[str, Any]:
    """The calibration files that change when a device is left out, by name."""
    found = {name: _document(name, device, family) for name, family in families.items()}
    return found | {name: _document(name, device, None) for name in OTHER_FILES}


def _document(name: str, device: str, family: Family | None) -> dict[str, Any]:
    document = package_data(f"calibrations/{name}.yaml")
    made = (_curve(curve, device, family) for curve in document["curves"])
    return {**document, "curves": [curve for curve in made if curve is not None]}


def _curve(curve: Mapping[str, Any], device: str, family: Family | None) -> Mapping[str, Any] | None:
    """The curve fitted without a device; None where nothing is left of it."""
    if device not in curve.get("devices", ()):
        return curve
    others = [name for name in curve["devices"] if name != device]
    if curve.get("device") == device or not others:
        return None
    changed = {**curve, "devices": others}
    if family is None:
        return changed
    parts = [part for part in family.rows if _belongs(part, changed)]
    if not parts:
        return None
    fitted = family.fitter.fit(parts, _fixed(curve, parts, family))
    return {**changed, "parameters": {**curve["parameters"], **fitted}}


def _belongs(part: Rows, curve: Mapping[str, Any]) -> bool:
    wanted = {"architecture": part.architecture, "format": part.format, "backend": part.backend}
    same = all(curve.get(key) in (None, value) for key, value in wanted.items())
    same = same and not (curve.get("format") is None and "/" in part.format)  # a library's rows are in its own curves alone
    return same and len(part) > 0 and part.device in curve["devices"] and part.backend in curve["backends"]


def _fixed(curve: Mapping[str, Any], parts: Sequence[Rows], family: Family) -> Mapping[str, float]:
    """The parameters that the fit of the whole curve did not set either."""
    if curve.get("architecture") is None:
        return family.generic_fixed
    free = RESCALED if sum(map(len, parts)) < FEWEST_ROWS else curve["parameters"]
    names = {one.name for one in family.fitter.parameters}
    return {name: value for name, value in curve["parameters"].items() if name in names and name not in free}
