"""JSON files that others wrote: read with bounds, errors with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError


def json_file(path: Path, most: int) -> tuple[Any, str]:
    """A JSON file's data and text; CatalogError with its line when it is too large or not JSON."""
    try:
        if not path.is_file():
            raise CatalogError("is not a regular file", file=str(path))
        if path.stat().st_size > most:
            raise CatalogError(f"is larger than {most // 2**20} MiB", file=str(path), hint="Expected a JSON file.")
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text), text
    except json.JSONDecodeError as error:
        raise CatalogError(f"not valid JSON: {error.msg}", file=str(path), line=error.lineno) from None
    except RecursionError:
        raise CatalogError("too deeply nested", file=str(path)) from None
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "holds a number of absurd length"
        raise CatalogError(reason, file=str(path)) from None
