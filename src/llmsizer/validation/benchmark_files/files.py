"""Which tool wrote a result file, and its runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from llmsizer.core.errors import CatalogError
from llmsizer.validation.benchmark_files import aiperf, guidellm, inferencex, llama_bench, vllm
from llmsizer.validation.benchmark_files.reading import BenchmarkRun, Place


class _Reader(Protocol):
    """A module that reads one tool's objects."""

    TOOL: str

    def recognises(self, found: Any) -> bool: ...

    def read(self, found: Any, place: Place) -> list[BenchmarkRun]: ...


class _TableReader(Protocol):
    """A module that reads one tool's tables."""

    def recognises_csv(self, rows: Sequence[Sequence[str]]) -> bool: ...

    def read_csv(self, rows: Sequence[Sequence[str]], place: Place) -> list[BenchmarkRun]: ...


_READERS: tuple[_Reader, ...] = (guidellm, aiperf, inferencex, llama_bench, vllm)
_TABLES: tuple[_TableReader, ...] = (llama_bench, aiperf)
TOOLS = tuple(reader.TOOL for reader in _READERS)
# Files with every generated text can be large; beyond this they are refused rather than loaded.
LARGEST_BYTES = 1 << 30


def read_benchmarks(path: str | Path) -> list[BenchmarkRun]:
    """The measured runs of a result file: JSON, JSON lines or CSV of any of ``TOOLS``.

    Raises CatalogError, naming line or field, for what is no such file or says something impossible.
    """
    file = str(path)
    try:
        if Path(path).stat().st_size > LARGEST_BYTES:
            raise CatalogError("larger than 1 GiB", file=file, hint="Write the results without the generated texts.")
        content = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CatalogError(f"cannot read the results: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise CatalogError("not a text file in UTF-8", file=file) from error
    if not content.strip():
        raise CatalogError("empty file", file=file)
    if content.lstrip()[0] not in "{[":
        return _table_runs(content, file)
    try:
        found = json.loads(content)
    except ValueError as error:
        return _line_runs(content, file, error)
    except RecursionError as error:
        raise CatalogError("JSON nested too deeply", file=file) from error
    return _runs(found, Place(file))


def _runs(found: Any, place: Place) -> list[BenchmarkRun]:
    for reader in _READERS:
        if reader.recognises(found):
            return reader.read(found, place)
    if isinstance(found, list) and found and all(vllm.recognises(item) for item in found):
        return [run for index, item in enumerate(found) for run in vllm.read(item, place.at(f"[{index}]"))]
    keys = ", ".join(list(found)[:8]) if isinstance(found, dict) else type(found).__name__
    raise place.error(f"not a result of a known benchmark tool (it has: {keys})", f"Known: {', '.join(TOOLS)}.")


def _line_runs(content: str, file: str, error: ValueError) -> list[BenchmarkRun]:
    """JSON lines: one result on each. ``error`` says why the file as a whole is not JSON."""
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for _, line in lines[:2]):
        raise CatalogError(f"not JSON: {error}", file=file, line=getattr(error, "lineno", None)) from error
    runs: list[BenchmarkRun] = []
    for number, line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as bad:
            raise CatalogError(f"not JSON: {bad}", file=file, line=number) from bad
        runs += _runs(found, Place(file, number))
    return runs


def _table_runs(content: str, file: str) -> list[BenchmarkRun]:
    try:
        rows = [row for row in csv.reader(content.splitlines()) if row]
    except csv.Error as error:
        raise CatalogError(f"not CSV: {error}", file=file) from error
    for reader in _TABLES:
        if reader.recognises_csv(rows):
            return reader.read_csv(rows, Place(file))
    raise CatalogError("not a result of a known benchmark tool", file=file, hint=f"Known: {', '.join(TOOLS)}.")
