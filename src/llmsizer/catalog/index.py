"""The compiled form of the built-in catalogs: validated records that need no YAML and no validator.

Where its hash does not match the YAML files they are parsed and validated anew, and the user's cache
is rewritten when it can be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog.package_data import (
    DOCUMENTS,
    RECORD_FILES,
    cache_file,
    compiled,
    package_yaml,
    source_hash,
)
from llmsizer.catalog.records import SECTIONS, Record


@lru_cache(maxsize=1)
def built_in_records() -> Mapping[str, Mapping[str, Record]]:
    """The records of the built-in catalogs, from the compiled form when it is current."""
    content = compiled()
    if content is not None:
        return {section: _LazyRecords(content["entries"][section], content["aliases"][section]) for section in SECTIONS}
    records = compile_records()
    path = cache_file()
    if path is not None:
        write_compiled(path, records)
    return records


def compile_records() -> dict[str, dict[str, Record]]:
    """All built-in records, parsed and validated from the YAML files; the files of formats, schemes
    and engines are checked with them."""
    from llmsizer.catalog.fact_checks import FILES, check_documents
    from llmsizer.catalog.validation import document_records

    check_documents({name: package_yaml(name) for name in FILES})
    merged: dict[str, dict[str, Record]] = {section: {} for section in SECTIONS}
    for name in RECORD_FILES:
        for section, found in document_records(package_yaml(name)).items():
            merged[section] |= found
    return merged


def write_compiled(path: Path, records: Mapping[str, Mapping[str, Record]]) -> None:
    """Writes the compiled form atomically; not at all where the folder cannot be written."""
    import tempfile

    entries = {
        section: {
            name: json.dumps([record.data, record.sources, Path(record.file).name, record.lines])
            for name, record in found.items()
        }
        for section, found in records.items()
    }
    content = {
        "hash": source_hash(),
        "documents": {name: json.dumps(package_yaml(name).data) for name in DOCUMENTS},
        "aliases": {s: {n: r.aliases for n, r in found.items() if r.aliases} for s, found in records.items()},
        "entries": entries,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError:
        return


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

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def aliases_of(self, name: str) -> tuple[str, ...]:
        """The aliases of an entry, without decoding it."""
        return tuple(self._aliases.get(name, ()))


def aliases_of(records: Mapping[str, Record], name: str) -> tuple[str, ...]:
    """The aliases of a record, however it is kept."""
    return records.aliases_of(name) if isinstance(records, _LazyRecords) else records[name].aliases
