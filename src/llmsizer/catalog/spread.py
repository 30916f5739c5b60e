"""How far estimates of a regime were from measurements: the widths of the intervals.

``calibrations/spread.yaml`` is written by the fit: the 10th and 90th percentile of
ln(measured / estimate) over rows marked ``fit``, each estimated without its own group.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data


@lru_cache(maxsize=256)
def spread(quantity: str, engine: str, tier: str) -> tuple[float, float]:
    """The 80 % interval of ln(measured / estimate) of a quantity: of the engine where it was measured,
    pooled otherwise; of devices without curves of their own where the tier says so."""
    rows = [row for row in package_data("calibrations/spread.yaml")["rows"] if row["quantity"] == quantity]
    own = "measured" if tier in {"specified", "measured", "interpolated"} else "extrapolated"
    for wanted in ({"engine": engine, "tier": own}, {"engine": None, "tier": own}, {"engine": None, "tier": "extrapolated"}):
        for row in rows:
            if _fits(row, wanted):
                return float(row["low"]), float(row["high"])
    return -0.7, 0.7


def _fits(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(row.get(key) == value for key, value in wanted.items())
