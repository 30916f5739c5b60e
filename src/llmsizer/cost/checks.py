"""The checks a cost case must pass before anything is computed; they hold for arrays as well."""

from __future__ import annotations

from typing import Any

from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.core.explain import plain
from llmsizer.cost.case import ALLOCATIONS, CostCase

# Words of a case with their least and largest value.
POSITIVE = ("devices", "capacity", "input_tokens", "output_tokens", "requests_per_second", "cached_token_weight")
NOT_NEGATIVE = (
    "replicas", "instances", "prefill_seconds", "decode_seconds", "output_token_ratio",
    "requests_per_user_month", "emissions",
)  # fmt: skip
SHARES = ("cached", "busy")


def check_case(case: CostCase) -> None:
    """Raises InvalidQuestion for a number out of its range and for a rule of allocation that cannot hold."""
    for name in (*POSITIVE, *NOT_NEGATIVE, *SHARES):
        _check_number(name, plain(getattr(case, name)))
    if case.allocation is None:
        return
    if case.allocation not in ALLOCATIONS:
        near = nearest(case.allocation, ALLOCATIONS)
        raise InvalidQuestion(f"allocation: '{case.allocation[:40]}' is not known", f"one of: {', '.join(near or ALLOCATIONS)}")
    if case.allocation == "device-time" and (case.prefill_seconds is None or case.decode_seconds is None):
        raise InvalidQuestion(
            "allocation 'device-time' needs the device time of prefill and decode", "Take 'tokens' where they are not known."
        )


def _check_number(name: str, value: Any) -> None:
    if value is None:
        return
    least, most = _ends(value)
    if not (least > 0 if name in POSITIVE else least >= 0) or (name in SHARES and most > 1) or not most < float("inf"):
        wanted = "a share from 0 to 1" if name in SHARES else "a positive number" if name in POSITIVE else "no negative number"
        raise InvalidQuestion(f"{name}: expected {wanted}, got {least if least <= 0 or least != least else most:g}")


def _ends(value: Any) -> tuple[float, float]:
    if isinstance(value, (int, float)):
        return float(value), float(value)
    return float(value.min()), float(value.max())
