"""Records of measured runs, as ``llmsizer measure`` writes them: read, checked and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError
from llmsizer.core.files import write_whole
from llmsizer.core.yaml import Document, load_file
from llmsizer.schema.model import Model

KIND = "llmsizer measured run"
REQUIRED = {"environment": Mapping, "engine": str, "models": list, "ceilings": list}


def measured_part(model: Model, layers: int) -> Model:
    """The part of a model that runs are measured on: its text decoder, cut to its first layers."""
    groups = []
    for group in model.layers:
        indices = frozenset(index for index in group.indices if index < layers)
        if indices:
            groups.append(replace(group, count=len(indices), indices=indices))
    return replace(
        model, layers=tuple(groups), num_hidden_layers=layers, towers=(), mtp=None, native_quantization=model.torch_dtype
    )


def is_run(path: str | Path) -> bool:
    """Whether a file is a record of a measured run, by its first line."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return KIND in file.readline(200)
    except OSError:
        return False


def read_run(path: str | Path) -> Mapping[str, Any]:
    """A record of a measured run. Raises CatalogError, naming line and field, for what is none."""
    document = load_file(path)
    data = document.data
    if not isinstance(data, Mapping) or data.get("record") != KIND:
        raise CatalogError(
            "not a record of a measured run", file=str(path), hint="`llmsizer measure --output FILE` writes one."
        )
    for name, kind in REQUIRED.items():
        if not isinstance(data.get(name), kind):
            raise document.error(f"expected a {'mapping' if kind is Mapping else kind.__name__}", (name,))
    for index, run in enumerate(data["models"]):
        _check_model(document, run, ("models", index))
    for index, row in enumerate(data["ceilings"]):
        if not isinstance(row, Mapping) or "kind" not in row:
            raise document.error("expected a mapping with a kind", ("ceilings", index))
        _check_seconds(document, row, ("ceilings", index))
    return data


def _check_model(document: Document, run: Any, path: tuple[str | int, ...]) -> None:
    if not isinstance(run, Mapping) or not isinstance(run.get("model"), str):
        raise document.error("expected a mapping with the name of a model", path)
    for part, length in (("prefill", "length"), ("decode", "context"), ("memory", "length")):
        for index, row in enumerate(run.get(part) or ()):
            where = (*path, part, index)
            if not isinstance(row, Mapping):
                raise document.error("expected a mapping", where)
            for name in ("batch", length):
                if isinstance(row.get(name), bool) or not isinstance(row.get(name), int) or row[name] < 1:
                    raise document.error("expected a whole number above zero", (*where, name))
            _check_seconds(document, row, where)


def _check_seconds(document: Document, row: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
    seconds = row.get("seconds", 1.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < 1e6:
        raise document.error("expected seconds above zero", (*path, "seconds"))


def run_text(record: Mapping[str, Any]) -> str:
    """A record as YAML; rows stand in one line each."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without aliases, which people do not expect in data."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    body = yaml.dump(dict(record), Dumper=Dumper, sort_keys=False, default_flow_style=None, width=200, allow_unicode=True)
    return f"# {KIND}: written by `llmsizer measure`\n{body}"


def write_run(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record so that a reader never sees half of it."""
    write_whole(path, run_text(record), "--output")
