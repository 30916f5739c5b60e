"""JSON files that others wrote: read with bounds, errors with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError

MOST_PARTS = 3_000_000  # entries and brackets; no model's file comes near, and more would fill the memory


def regular_size(path: Path) -> int:
    """The size of a file in bytes; CatalogError for a folder, a pipe or a device, which would not end."""
    if not path.is_file():
        raise CatalogError("is not a regular file", file=str(path))
    return path.stat().st_size


def parsed(content: bytes, path: Path) -> Any:
    """The data of a JSON text; ValueError when it is none, CatalogError when it has too many parts."""
    if sum(map(content.count, (b"[", b"{", b","))) > MOST_PARTS:
        raise CatalogError(f"has more than {MOST_PARTS:,} entries", file=str(path), hint="Expected the JSON of a model.")
    try:
        return json.loads(content)
    except RecursionError:
        raise CatalogError("too deeply nested", file=str(path)) from None


def json_file(path: Path, most: int) -> tuple[Any, str]:
    """A JSON file's data and text; CatalogError with its line when it is too large or not JSON."""
    try:
        if regular_size(path) > most:
            raise CatalogError(f"is larger than {most // 2**20} MiB", file=str(path), hint="Expected a JSON file.")
        text = path.read_text(encoding="utf-8-sig")
        return parsed(text.encode(), path), text
    except json.JSONDecodeError as error:
        raise CatalogError(f"not valid JSON: {error.msg}", file=str(path), line=error.lineno) from None
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "holds a number of absurd length"
        raise CatalogError(reason, file=str(path)) from None
