"""The page of the Python API (docs/python.md), generated from the public names and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import llmsizer

INTRODUCTION = """# Python

This page is generated from the public names of `llmsizer`: `python tests/docs/refresh.py` writes it, a test compares it.

Every function gives back a frozen object. All of them have `to_dict()` (plain data, ready for JSON, the unit of a number in
its key), `to_rows()` (a list of mappings), `to_dataframe()` (needs pandas: `pip install 'llmsizer[pandas]'`) and a short
`repr`; a notebook shows their tables. Nothing is kept between calls but what was read from the catalogs, and calls may run
in several threads at once. A mistake raises `llmsizer.LlmsizerError`, whose `message` says what is wrong and whose `hint`
what would be right.

```python
import llmsizer

found = llmsizer.compare("llama-3.1-8b", ["h100", "l40s"], concurrency=[1, 32])
frame = found.to_dataframe()
print(list(frame.columns[:5]), len(frame))
# ['hardware', 'concurrency', 'devices', 'fits', 'weights_bytes'] 4
```

`catalog=` takes a path (or several) of YAML files laid over the built-in catalog, or a `Catalog`; without it the built-in one
and the user's own overlays are used.
"""
# Objects inside results, by where they are defined; of the fields of some docs/json.md has a line each.
PARTS = {
    "sizing.memory": ("MemoryEstimate", "DeviceMemory"), "sizing.speed": ("Latency", "Throughput", "Phase"),
    "sizing.estimate": ("Evidence",), "cost.estimate": ("CostEstimate",), "question.compare": ("Combination",),
    "planner.picks": ("Pick", "Margin"), "planner.choice": ("Rejection",), "planner.sensitivity": ("Effect",),
    "simulation.result": ("Summary", "Spread"), "planner.advice.advise": ("Effect", "Idle"),
    "doctor.compare": ("Row",),
    "validation.statistics": ("ErrorRow", "Summary"),
    "validation.ranking": ("Ranking",), "differences.compare": ("Difference", "FactChange"), "core.inputs": ("Input",),
}  # fmt: skip


def python_page() -> str:
    """The whole page."""
    public = {name: getattr(llmsizer, name) for name in llmsizer.__all__}
    functions = [_function(name, each) for name, each in public.items() if not inspect.isclass(each)]
    classes = [_class(name, each) for name, each in public.items() if inspect.isclass(each)]
    inner = [_class(f"{each.__name__} ({module})", each, "###") for module, each in parts()]
    return "\n".join(
        [INTRODUCTION, "## Functions\n", *functions, "## Results and other public classes\n", *classes,
         "## What results are made of\n", *inner]
    ).rstrip("\n") + "\n"  # fmt: skip


def parts() -> Iterator[tuple[str, type]]:
    """The classes inside results, with their modules."""
    for module, names in PARTS.items():
        for name in names:
            yield module, getattr(import_module(f"llmsizer.{module}"), name)


def _function(name: str, function: Any) -> str:
    signature = re.sub(r": [^,)=]+(?= =|,|\))| -> .*", "", str(inspect.signature(function)))
    return (
        f"### llmsizer.{name}\n\n```pycon\nllmsizer.{name}{_wrapped(signature.replace(' = ', '='))}\n```\n\n{_text(function)}\n"
    )


def _wrapped(signature: str) -> str:
    return signature if len(signature) < 90 else signature.replace(", ", ",\n    ").replace("(", "(\n    ", 1)


def _text(noun: Any) -> str:
    """A docstring as Markdown, its examples fenced."""
    parts = []
    for part in inspect.cleandoc(noun.__doc__ or "").split("\n\n"):
        plain = part.replace("``", "`").replace("<", "&lt;")
        parts.append(f"```pycon\n{part}\n```" if part.startswith(">>>") else plain)
    return "\n\n".join(parts)


def _class(name: str, kind: type, level: str = "###") -> str:
    rows = [f"| `{member}` | {_first(text)} |" for member, text in members(kind).items()]
    table = "\n".join(["| member | meaning |", "|---|---|", *rows]) + "\n" if rows else ""
    names = f"Fields: {', '.join(f'`{each}`' for each in public_fields(kind))}.\n" if public_fields(kind) else ""
    return "\n".join(part for part in (f"{level} {name}\n", f"{_text(kind)}\n", names, table) if part)


def public_fields(kind: type) -> list[str]:
    """The fields of a dataclass that belong to its users."""
    return [each.name for each in fields(kind) if not each.name.startswith("_")] if is_dataclass(kind) else []


def members(kind: type) -> dict[str, str]:
    """The public properties and methods of a class with their docstrings."""
    found = {}
    for name, _ in inspect.getmembers(kind):
        plain = inspect.getattr_static(kind, name)
        mine = not (name.startswith("_") or name in public_fields(kind) or hasattr(BaseException, name))
        if mine and (callable(plain) or isinstance(plain, (property, cached_property))):
            found[name] = inspect.getdoc(plain) or ""
    return found


def _first(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")
