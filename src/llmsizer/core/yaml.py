"""YAML as this project reads it: duplicate keys refused, ``1e12`` a number, line numbers kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from llmsizer.core.errors import CatalogError

KeyPath: TypeAlias = tuple[str | int, ...]

# Aliases may repeat a node; a document that unfolds to more nodes than this is refused.
MAX_NODES = 500_000
MAX_BYTES = 32 * 2**20
MAX_DEPTH = 60

# YAML 1.1 takes "1e12" for a string, "no" for a truth value and dates for objects; people do not.
_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)|[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file: plain data, and the line of every key path."""

    file: str
    data: Any
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """The line of a path, or of its nearest ancestor that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def error(self, message: str, path: KeyPath = (), hint: str = "") -> CatalogError:
        """An error that names this file, the path's line and the path."""
        return CatalogError(message, file=self.file, line=self.line(path), field=dotted(path), hint=hint)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: ``accelerators.h100.memory``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def load_file(path: str | Path) -> Document:
    """Parses a YAML file. Raises CatalogError naming the file when it cannot be read or parsed."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CatalogError(f"larger than {MAX_BYTES // 2**20} MiB", file=str(path))
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CatalogError(f"cannot be read: {reason}", file=str(path)) from error
    return load_text(text, str(path))


def load_text(text: str, file: str = "<text>") -> Document:
    """Parses YAML text; ``file`` is the name used in errors."""
    import yaml

    loader = _loader()
    try:
        _check_depth(yaml.parse(text, Loader=loader), file)
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise CatalogError(f"not valid YAML: {error.problem or error.context}", file=file, line=line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CatalogError(f"not valid YAML: {str(error)[:120]}", file=file) from error
    lines: dict[KeyPath, int] = {}
    data = _Builder(file, lines).build(node, ()) if node is not None else None
    return Document(file, data, lines)


def _check_depth(events: Any, file: str) -> None:
    """Refuses deep nesting before anything recursive (the C composer included) sees it."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > MAX_DEPTH:
            raise CatalogError("too deeply nested", file=file, line=event.start_mark.line + 1)


def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """CSafeLoader whose implicit resolvers read every number as people write it."""

        yaml_implicit_resolvers: ClassVar[Any] = {
            first: [(tag, rule) for tag, rule in rules if not tag.endswith((":float", ":timestamp", ":bool"))]
            for first, rules in base.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|false|False)$"), list("tTfF"))
    return Loader


class _Builder:
    """Builds plain data from YAML nodes and notes the line of each path."""

    def __init__(self, file: str, lines: dict[KeyPath, int]) -> None:
        from yaml.constructor import SafeConstructor

        self.file, self.lines, self.count = file, lines, 0
        self.scalars = SafeConstructor()

    def build(self, node: Any, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MAX_NODES or len(path) > MAX_DEPTH:
            raise CatalogError("too large or too deeply nested", file=self.file)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.id == "scalar":
            return self._scalar(node, path)
        if node.id == "sequence":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return dict(self._pairs(node, path))

    def _pairs(self, node: Any, path: KeyPath) -> Iterator[tuple[Any, Any]]:
        seen: dict[Any, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.id != "scalar":
                raise CatalogError("a key must be plain text", file=self.file, line=line, field=dotted(path))
            key = self._scalar(key_node, path)
            key = key if isinstance(key, (str, int)) and not isinstance(key, bool) else key_node.value
            if key in seen:
                message = f"duplicate key '{key}' (first on line {seen[key]})"
                raise CatalogError(message, file=self.file, line=line, field=dotted(path))
            seen[key] = line
            self.lines.setdefault((*path, key), line)
            yield key, self.build(value_node, (*path, key))

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        try:
            if node.tag == "tag:yaml.org,2002:float":
                return float(node.value.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            return self.scalars.construct_object(node)
        except Exception as error:
            line = node.start_mark.line + 1
            raise CatalogError(f"cannot read '{node.value[:40]}'", file=self.file, line=line, field=dotted(path)) from error
