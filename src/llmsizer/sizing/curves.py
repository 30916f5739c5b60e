"""The calibration curve a kernel of a case uses, and the formula whose parameters it holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsizer.core.explain import Formula, Value, is_explained
from llmsizer.formulas.attention import (
    attention_decode_seconds,
    attention_prefill_seconds,
    latent_decode_seconds,
    latent_prefill_seconds,
    scan_decode_seconds,
    scan_prefill_seconds,
)
from llmsizer.formulas.communication import collective_seconds
from llmsizer.formulas.matmul import grouped_matmul_seconds, matmul_seconds
from llmsizer.formulas.steps import pointwise_seconds
from llmsizer.schema.calibration import Curve
from llmsizer.schema.deployment import Case

FORMULAS: dict[str, Formula[Any, Any]] = {
    "matmul": matmul_seconds,
    "experts": grouped_matmul_seconds,
    "pointwise": pointwise_seconds,
    "host_copy": pointwise_seconds,
    "attention_prefill": attention_prefill_seconds,
    "attention_decode": attention_decode_seconds,
    "latent_prefill": latent_prefill_seconds,
    "latent_decode": latent_decode_seconds,
    "scan_prefill": scan_prefill_seconds,
    "scan_decode": scan_decode_seconds,
    "all_reduce": collective_seconds,
    "all_gather": collective_seconds,
    "reduce_scatter": collective_seconds,
    "all_to_all": collective_seconds,
    "point_to_point": collective_seconds,
}


def curve_of(case: Case, family: str, format_: str) -> Curve:
    """The curve of a family in a format for a case; its parameters are Values when the case is explained."""
    assert case.calibration is not None, "a case without calibration has no times"
    found = case.calibration.curve(family, format_)
    return _explained(found) if is_explained(case.native.bits) else found


def _explained(curve: Curve) -> Curve:
    names, units, _ = FORMULAS[curve.family].units()
    unit = dict(zip(names, units, strict=True))
    source = curve.provenance.default
    parameters: Any = {name: Value(number, unit.get(name, "1"), name, source) for name, number in curve.parameters.items()}
    return replace(curve, parameters=parameters)
