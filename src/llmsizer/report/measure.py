"""Tables of measured runs: what the device reaches, and estimates beside measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmsizer.core.quantities import human
from llmsizer.report.tables import Table
from llmsizer.validation.run_rows import MEMORY
from llmsizer.validation.statistics import ErrorRow


def ceiling_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The best of each kind of kernel: the shape that came nearest to what the device can."""
    best: dict[str, tuple[float, str, str, str]] = {}
    for row in rows:
        if "seconds" not in row:
            continue
        rate, shown, shape = _rate(row)
        name = f"{row['kind'].replace('_', ' ')} {row.get('dtype', '')}".strip()
        if name not in best or rate > best[name][0]:
            best[name] = (rate, shown, shape, human(float(row["seconds"]), "second"))
    return Table(
        "Ceilings", ["kernel", "best", "of shape", "time"], [[name, *each[1:]] for name, each in best.items()], right=(1, 3)
    )


def _rate(row: Mapping[str, Any]) -> tuple[float, str, str]:
    """How much a kernel did per second, as a number, as text, and of which shape."""
    seconds = float(row["seconds"])
    if row["kind"] == "matmul":
        rate = 2.0 * row["m"] * row["n"] * row["k"] / seconds
        return rate, human(rate, "FLOP/second"), f"{row['m']} × {row['n']} × {row['k']}"
    if row["kind"] in {"copy", "all_reduce"}:
        rate = (2.0 if row["kind"] == "copy" else 1.0) * row["bytes"] / seconds
        return rate, human(rate, "byte/second"), human(float(row["bytes"]), "byte")
    if row["kind"].startswith("attention"):
        pairs = (
            row["batch"] * row["heads"] * row["length"] * ((row["length"] + 1) / 2 if row["kind"].endswith("prefill") else 1)
        )
        rate = 4.0 * pairs * row["head_dim"] / seconds
        return rate, human(rate, "FLOP/second"), f"{row['batch']} × {row['length']}, {row['heads']}/{row['groups']} heads"
    return 1 / seconds, "", ""


def comparison_table(errors: Sequence[ErrorRow], title: str = "Estimate beside measurement") -> Table:
    """One line for each comparison; times in milliseconds, bytes in MiB."""
    rows = []
    for each in errors:
        scale, unit = (2**-20, "MiB") if each.quantity in MEMORY else (1e3, "ms")
        inside = "" if each.inside is None else "yes" if each.inside else "no"
        rows.append([each.quantity.removeprefix("measured "), each.id.partition(": ")[2], f"{scale * each.estimate:,.4g}",
                     f"{scale * each.measured:,.4g}", unit, f"{100 * each.error:+.1f}", inside])  # fmt: skip
    headers = ["quantity", "run", "estimate", "measured", "unit", "error %", "inside"]
    return Table(title, headers, rows, right=(2, 3, 5))
