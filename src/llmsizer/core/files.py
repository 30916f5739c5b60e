"""Writes files whole: a reader never sees half of one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from llmsizer.core.errors import LlmsizerError


def write_whole(path: str | Path, text: str, flag: str = "") -> None:
    """Writes a text file beside its place first and then puts it there; a link is followed, a device or pipe is
    written to as it is.

    Raises LlmsizerError where it cannot be written; ``flag`` is the option that named the file.
    """
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8", newline="\n")
            return
        _replace(target, text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LlmsizerError(f"{f'{flag}: ' if flag else ''}{path} cannot be written: {reason}") from error


def _replace(target: Path, text: str) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
