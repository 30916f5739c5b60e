"""Several estimates side by side, the best value of each row marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsizer.core.quantities import GIB
from llmsizer.question.compare import Comparison
from llmsizer.report.tables import Table, digits


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: its name with the unit of ``1 / scale``, and which end is best (None: neither)."""

    name: str
    best: Callable[[Sequence[float]], float] | None = None
    scale: float = 1.0


LINES: Mapping[str, Line] = {
    "devices": Line("devices", min),
    "fits": Line("fits"),
    "weights_bytes": Line("weights, GiB a device", min, 1 / GIB),
    "kv_cache_bytes": Line("KV cache, GiB a device", max, 1 / GIB),
    "kv_capacity_tokens": Line("KV cache, tokens", max),
    "max_concurrency_at_workload": Line("requests that fit", max),
    "ttft_seconds": Line("TTFT, ms", min, 1e3),
    "tpot_seconds": Line("TPOT, ms", min, 1e3),
    "e2e_seconds": Line("E2E, s", min),
    "requests_per_second": Line("requests/s", max),
    "output_tokens_per_second": Line("output tokens/s", max),
    "output_tokens_per_second_per_gpu": Line("output tokens/s a device", max),
    "prefill_bound": Line("prefill bound by"),
    "decode_bound": Line("decode bound by"),
    "usd_per_hour": Line("USD/h", min),
    "usd_per_million_output_tokens": Line("USD per million output tokens", min),
    "tier": Line("evidence"),
}


def compare_tables(comparison: Comparison, width: int | None) -> list[Table]:
    """One column a combination, the best value of a row with a star; as many columns a table as fit ``width``."""
    found = comparison.to_rows()
    cells = [_cells(line, [row[key] for row in found]) for key, line in LINES.items()]
    titles = [each.title if width is None else each.title.replace(", ", "\n") for each in comparison.combinations]
    columns = [[title, *(row[index] for row in cells)] for index, title in enumerate(titles)]
    names = [line.name for line in LINES.values()]
    tables = []
    for group in _groups(columns, max(map(len, names)), width):
        rows = [[name, *(column[place + 1] for column in group)] for place, name in enumerate(names)]
        tables.append(Table("", ["", *(column[0] for column in group)], rows, right=tuple(range(1, len(group) + 1))))
    return tables


def compare_notes(comparison: Comparison) -> list[str]:
    """Why some of the combinations do not run or do not fit."""
    found = comparison.combinations
    misfits = [(each, each.estimate.reasons) for each in found if each.estimate is not None and not each.estimate.fits]
    return [
        *(f"{each.title}: {each.refusal}" for each in found if each.refusal),
        *(f"{each.title}: {'; '.join(reasons)}" for each, reasons in misfits),
        *(
            f"{each.title}: more requests come than it can serve; the wait for the first token grows without end"
            for each in found
            if each.estimate is not None and each.estimate.speed is not None and each.estimate.speed.is_overloaded
        ),
    ]


def compare_heading(comparison: Comparison) -> str:
    """What the tables show: what all combinations share, and how many they are."""
    cases = [each.estimate.case for each in comparison.combinations if each.estimate is not None]
    shared = [
        next(iter(names))
        for names in (
            {case.model.id for case in cases},
            {case.accelerator.name for case in cases},
            {f"{case.engine.title} {case.engine.version}" for case in cases},
        )
        if len(names) == 1
    ]
    return f"{', '.join(shared)}: {len(comparison.combinations)} side by side, * the best of a row".removeprefix(": ")


def _cells(line: Line, values: Sequence[Any]) -> list[str]:
    numbers = [value for value in values if isinstance(value, (int, float))]
    best = line.best(numbers) if line.best is not None and len(set(numbers)) > 1 else None
    return [_cell(value, line.scale) + (" *" if value == best and best is not None else "") for value in values]


def _cell(value: Any, scale: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else value if isinstance(value, str) else digits(value if scale == 1 else value * scale)


def _groups(columns: Sequence[list[str]], first: int, width: int | None) -> Iterator[list[list[str]]]:
    group: list[list[str]] = []
    room = used = (width or 0) - first
    for column in columns:
        needed = 2 + max(len(line) for cell in column for line in cell.split("\n"))
        if width is not None and group and used < needed:
            yield group
            group, used = [], room
        group.append(column)
        used -= needed
    yield group
