"""Several estimates side by side, the best value of each row marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.report.sweep import digits
from llmsizer.report.tables import Table
from llmsizer.sizing.estimate import Estimate

GIB = 2.0**30


@dataclass(frozen=True, slots=True)
class Combination:
    """One column: the words in which it differs, and its estimate or why there is none."""

    words: dict[str, str]
    estimate: Estimate | None
    refusal: str = ""

    @property
    def title(self) -> str:
        """The words that tell it apart."""
        return ", ".join(self.words.values()) or "all"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: its key in JSON (in SI units), its name in tables with the unit of ``1 / scale``, how to read it,
    and which end is best (None: neither)."""

    key: str
    name: str
    read: Callable[[Estimate], Any]
    best: Callable[[Sequence[float]], float] | None = None
    scale: float = 1.0


def _speed(part: str, name: str) -> Callable[[Estimate], Any]:
    def read(estimate: Estimate) -> Any:
        found = getattr(estimate, part)
        return plain(getattr(found, name)) if found is not None else None

    return read


def _memory(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: plain(getattr(estimate.memory, name))


def _device(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: plain(getattr(estimate.memory.per_gpu, name))


def _cost(name: str) -> Callable[[Estimate], Any]:
    return lambda estimate: estimate.cost.to_dict()[name] if estimate.cost is not None else None


FIGURES = (
    Figure("devices", "devices", lambda estimate: estimate.question["devices"], min),
    Figure("fits", "fits", lambda estimate: estimate.fits),
    Figure("weights_bytes", "weights, GiB a device", _device("weights_bytes"), min, 1 / GIB),
    Figure("kv_cache_bytes", "KV cache, GiB a device", _device("kv_cache_bytes"), max, 1 / GIB),
    Figure("kv_capacity_tokens", "KV cache, tokens", _memory("kv_capacity_tokens"), max),
    Figure("max_concurrency_at_workload", "requests that fit", _memory("max_concurrency_at_workload"), max),
    Figure("ttft_seconds", "TTFT, ms", _speed("latency", "ttft_seconds"), min, 1e3),
    Figure("tpot_seconds", "TPOT, ms", _speed("latency", "tpot_seconds"), min, 1e3),
    Figure("e2e_seconds", "E2E, s", _speed("latency", "e2e_seconds"), min),
    Figure("requests_per_second", "requests/s", _speed("throughput", "requests_per_second"), max),
    Figure("output_tokens_per_second", "output tokens/s", _speed("throughput", "output_tokens_per_second"), max),
    Figure(
        "output_tokens_per_second_per_gpu", "output tokens/s a device",
        _speed("throughput", "output_tokens_per_second_per_gpu"), max,
    ),
    Figure("prefill_bound", "prefill bound by", _speed("prefill", "bound")),
    Figure("decode_bound", "decode bound by", _speed("decode", "bound")),
    Figure("usd_per_hour", "USD/h", _cost("usd_per_hour"), min),
    Figure("usd_per_million_output_tokens", "USD per million output tokens", _cost("usd_per_million_output_tokens"), min),
    Figure("tier", "evidence", lambda estimate: estimate.evidence.tier),
)  # fmt: skip


def compared(combinations: Sequence[Combination]) -> list[list[Any]]:
    """The figures of all combinations, one list a figure; None where there is none."""
    return [[each.estimate and figure.read(each.estimate) for each in combinations] for figure in FIGURES]


def compare_tables(combinations: Sequence[Combination], width: int | None) -> list[Table]:
    """One column a combination, the best value of a row with a star; as many columns a table as fit ``width``."""
    values = compared(combinations)
    cells = [_cells(figure, row) for figure, row in zip(FIGURES, values, strict=True)]
    titles = [each.title if width is None else each.title.replace(", ", "\n") for each in combinations]
    columns = [[title, *(row[index] for row in cells)] for index, title in enumerate(titles)]
    names = [figure.name for figure in FIGURES]
    tables = []
    for group in _groups(columns, max(map(len, names)), width):
        rows = [[name, *(column[line + 1] for column in group)] for line, name in enumerate(names)]
        tables.append(Table("", ["", *(column[0] for column in group)], rows, right=tuple(range(1, len(group) + 1))))
    return tables


def _cells(figure: Figure, values: Sequence[Any]) -> list[str]:
    numbers = [value for value in values if isinstance(value, (int, float))]
    best = figure.best(numbers) if figure.best is not None and len(set(numbers)) > 1 else None
    return [_cell(value, figure.scale) + (" *" if value == best and best is not None else "") for value in values]


def _cell(value: Any, scale: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else value if isinstance(value, str) else digits(value * scale)


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


def compare_rows(combinations: Sequence[Combination]) -> list[dict[str, Any]]:
    """One mapping a combination: its words, its figures, and why there are none."""
    values = compared(combinations)
    keys = [figure.key for figure in FIGURES]
    return [
        each.words | dict(zip(keys, (row[index] for row in values), strict=True)) | {"refused": each.refusal or None}
        for index, each in enumerate(combinations)
    ]
