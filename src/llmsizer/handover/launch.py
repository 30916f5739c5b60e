"""A command with its flags: what one engine is started with, and what it cannot be told."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Launch:
    """The words before the flags, the flags in order, and an engine's configuration file where it needs one.

    ``flags``: (flag, value) pairs; True writes the flag alone. ``file``: the content of the file
    ``file_name``. ``notes``: what the command leaves to its reader.
    """

    heading: str
    start: tuple[str, ...]
    flags: tuple[tuple[str, Any], ...] = ()
    file_name: str = ""
    file: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def arguments(self, flags: Sequence[tuple[str, Any]] | None = None) -> list[str]:
        """The command as separate words."""
        return [*self.start, *(word for flag, value in (flags or self.flags) for word in _words(flag, value))]

    def to_dict(self) -> dict[str, Any]:
        """The command as plain data."""
        files = {self.file_name: yaml_text(self.file)} if self.file else {}
        return {"command": self.arguments(), "files": files, "notes": list(self.notes), "heading": self.heading}

    def __str__(self) -> str:
        """The command as a shell script, notes as comments."""
        lines = comments([self.heading, *self.notes])
        if self.file:
            lines += [f"cat > {self.file_name} <<'EOF'", yaml_text(self.file).rstrip("\n"), "EOF"]
        parts = [shlex.join(self.start), *(shlex.join(_words(flag, value)) for flag, value in self.flags)]
        return "\n".join([*lines, " \\\n  ".join(parts)])


def _words(flag: str, value: Any) -> list[str]:
    if value is True:
        return [flag]
    return [flag, json.dumps(value) if isinstance(value, Mapping) else str(value)]


def comments(notes: Sequence[str]) -> list[str]:
    """Notes as wrapped comment lines."""
    return [line for note in notes for line in textwrap.wrap(note, WIDTH, initial_indent="# ", subsequent_indent="#   ")]


def yaml_text(content: Any) -> str:
    """Plain data as YAML, in its own order."""
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, default_flow_style=False, allow_unicode=True, width=WIDTH))
