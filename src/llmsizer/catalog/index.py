"""The compiled index of the built-in catalogs: validated records under the hash of their sources.

It exists so that a single estimate starts fast. It is looked for beside the package (wheels and
editable installs write it when they are built) and in the user's cache folder; where its hash does
not match the YAML files they are parsed and validated anew, and the cache is rewritten when it can be.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog.package_data import CATALOGS, DATA, package_file
from llmsizer.catalog.records import SECTIONS, Record, document_records

SCHEMA = 1
INDEX_NAME = "_index.json"


def source_hash() -> str:
    """The hash of the built-in catalog files, the architecture conventions and the index schema."""
    digest = hashlib.sha256(str(SCHEMA).encode())
    for name in (*CATALOGS, "architectures.yaml"):
        digest.update(package_file(name).read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def built_in_records() -> dict[str, Mapping[str, Record]]:
    """The records of the built-in catalogs, from the index when it is current."""
    wanted = source_hash()
    for path in (DATA / INDEX_NAME, _cache_file()):
        if path is not None and (found := _read(path, wanted)) is not None:
            return found
    records = compile_records()
    cache = _cache_file()
    if cache is not None:
        write_index(cache, records, wanted)
    return records


def compile_records() -> dict[str, Mapping[str, Record]]:
    """All built-in records, parsed and validated from the YAML files."""
    from llmsizer.core.yaml import load_file

    merged: dict[str, dict[str, Record]] = {section: {} for section in SECTIONS}
    for name in CATALOGS:
        for section, found in document_records(load_file(package_file(name))).items():
            merged[section] |= found
    return dict(merged)


def write_index(path: Path, records: Mapping[str, Mapping[str, Record]], wanted: str) -> None:
    """Writes the index atomically; silently not at all where the folder cannot be written."""
    entries = {
        section: {
            name: json.dumps([record.data, record.sources, Path(record.file).name, record.lines])
            for name, record in found.items()
        }
        for section, found in records.items()
    }
    aliases = {s: {n: r.aliases for n, r in found.items() if r.aliases} for s, found in records.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"hash": wanted, "aliases": aliases, "entries": entries}, file)
        os.replace(temporary, path)
    except OSError:
        return


def _read(path: Path, wanted: str) -> dict[str, Mapping[str, Record]] | None:
    try:
        content = json.loads(path.read_bytes())
        if content["hash"] != wanted:
            return None
        return {
            section: _LazyRecords(content["entries"][section], content["aliases"][section]) for section in SECTIONS
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _LazyRecords(Mapping[str, Record]):
    """Records decoded only when asked for; aliases are known without decoding."""

    def __init__(self, encoded: Mapping[str, str], aliases: Mapping[str, Any]) -> None:
        self._encoded, self._aliases = encoded, aliases
        self._decoded: dict[str, Record] = {}

    def __getitem__(self, name: str) -> Record:
        if name not in self._decoded:
            data, sources, file, lines = json.loads(self._encoded[name])
            self._decoded[name] = Record(data, (sources[0], sources[1]), file, lines)
        return self._decoded[name]

    def __iter__(self) -> Any:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def aliases_of(self, name: str) -> tuple[str, ...]:
        """The aliases of an entry, without decoding it."""
        return tuple(self._aliases.get(name, ()))


def aliases_of(records: Mapping[str, Record], name: str) -> tuple[str, ...]:
    """The aliases of a record, however it is kept."""
    return records.aliases_of(name) if isinstance(records, _LazyRecords) else records[name].aliases


def _cache_file() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or (os.path.join(os.environ["HOME"], ".cache") if "HOME" in os.environ else "")
    return Path(base) / "llmsizer" / f"catalog-{SCHEMA}.json" if base else None
