"""A sweep as a table, as files, and as curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.core.files import write_whole
from llmsizer.question.sweep import Sweep
from llmsizer.report.tables import Table, as_csv, as_json, digits

# Columns of the printed table: the figure, its header, and its number in the header's unit.
SHOWN: Sequence[tuple[str, str, float]] = (
    ("latency.ttft_seconds", "TTFT\nms", 1e3),
    ("latency.tpot_seconds", "TPOT\nms", 1e3),
    ("latency.e2e_seconds", "E2E\ns", 1.0),
    ("throughput.output_tokens_per_second", "output\ntokens/s", 1.0),
    ("throughput.requests_per_second", "requests/s", 1.0),
    ("load.running", "running", 1.0),
)
# Of them those that a narrow table has room for, and what is narrow.
MAIN, NARROW = ("latency.ttft_seconds", "latency.tpot_seconds", "throughput.output_tokens_per_second"), 100
MOST_ROWS = 60
WAITED = ("latency.ttft_seconds", "latency.e2e_seconds")  # without end where more requests come than can be served


def sweep_table(found: Sweep, most: int | None = MOST_ROWS, width: int = NARROW) -> Table:
    """The words that vary and the main figures, one row a point, the first ``most`` of them; fewer figures in a narrow
    ``width``."""
    words = [name for name in found.words if name in found.columns]
    bound, is_narrow = "decode.bound", width < NARROW
    shown = [each for each in SHOWN if each[0] in MAIN or not is_narrow]
    last_header = "decode\nbound by" if found["fits"].all() else "decode bound by,\nor why it does not fit"
    fits = [] if is_narrow and len(words) > 1 else ["fits"]
    headers = [*(name.replace("_", "\n") for name in words), *fits, *(header for _, header, _ in shown), last_header]
    rows = []
    for index in range(len(found) if most is None else min(len(found), most)):
        verdict = ["yes" if found["fits"][index] else "no"] if fits else []
        grows = _entry(found, "load.waiting", index) == float("inf")
        figures = [
            "grows" if grows and name in WAITED else digits(found[name][index] * factor) if name in found.columns else ""
            for name, _, factor in shown
        ]
        last = _entry(found, bound if found["fits"][index] else "reason", index)
        rows.append([*(_word(found[name][index]) for name in words), *verdict, *figures, last or ""])
    return Table("", headers, rows, right=tuple(range(len(words) + len(fits), len(headers) - 1)))


def _entry(found: Sweep, name: str, index: int) -> Any:
    return found[name][index] if name in found.columns else None


def _word(value: Any) -> str:
    if isinstance(value, str) or value is None:
        return value or "default"
    return f"{value:,.6g}" if value % 1 or abs(value) >= 1e6 else f"{value:,.0f}"


def sweep_text(found: Sweep, form: str) -> str:
    """All of a sweep as ``csv`` or ``json``."""
    if form == "json":
        return as_json({"words": found.to_dict()["words"], "points": found.to_rows(), "notes": list(found.notes)})
    rows = found.to_rows()
    return as_csv(list(found.columns), [list(row.values()) for row in rows])


def write_sweep(found: Sweep, path: Path) -> None:
    """Writes a sweep to a .csv, .json or .parquet file."""
    write = checked_file(path)
    try:
        write(found, path)
    except OSError as error:
        raise LlmsizerError(f"--output: {path} cannot be written: {error.strerror}") from error


def checked_file(path: Path) -> Callable[[Sweep, Path], None]:
    """What writes a file of this name. Raises InvalidQuestion for a kind that is not known."""
    writers: Mapping[str, Callable[[Sweep, Path], None]] = {
        ".csv": lambda found, path: write_whole(path, sweep_text(found, "csv") + "\n", "--output"),
        ".json": lambda found, path: write_whole(path, sweep_text(found, "json") + "\n", "--output"),
        ".parquet": _write_parquet,
    }
    if path.suffix not in writers:
        raise InvalidQuestion(f"--output: '{path.name[:60]}' must end in .csv, .json or .parquet")
    if path.suffix == ".parquet":
        _parquet()
    return writers[path.suffix]


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise LlmsizerError("a .parquet file needs pyarrow", "pip install pyarrow, or write .csv") from error
    return pyarrow, parquet


def _write_parquet(found: Sweep, path: Path) -> None:
    pyarrow, parquet = _parquet()
    parquet.write_table(pyarrow.table({name: pyarrow.array(column) for name, column in found.columns.items()}), path)
