"""Reader of the kernel tables in the Apache-2.0 package ``aiconfigurator-core`` (NVIDIA).

The tables lie in the package as ``systems/data/<system>/<family>/<engine>/<version>/*.parquet``.
They are read from a wheel, from an unpacked folder or from the installed package.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError

PACKAGE = "aiconfigurator_core"
TITLE = "aiconfigurator-core 0.12.0 kernel tables (NVIDIA, Apache-2.0)"

# The package's names of systems and engines, and the ids used here.
DEVICES = {
    "a100_sxm": "a100-sxm4-80gb",
    "l40s": "l40s",
    "h100_sxm": "h100-sxm5-80gb",
    "h200_sxm": "h200-sxm5-141gb",
    "b200_sxm": "b200-sxm6",
    "b300_sxm": "b300-sxm6",
    "gb200": "gb200",
    "gb300": "gb300",
    "rtx_pro_6000_server": "rtx-pro-6000-blackwell-ws",
    "b60": "arc-pro-b60",
}
ENGINES = {"trtllm": "tensorrt-llm", "vllm": "vllm", "sglang": "sglang"}


@dataclass(frozen=True, slots=True)
class KernelTable:
    """One parquet file: where it comes from, and its columns as arrays."""

    device: str
    backend: str
    version: str
    path: str
    columns: Mapping[str, Any]

    def where(self, mask: Any) -> KernelTable:
        """The rows that a mask selects."""
        columns = {name: column[mask] for name, column in self.columns.items()}
        return KernelTable(self.device, self.backend, self.version, self.path, columns)


def read_tables(source: Path | None, family: str, file: str, engines: Mapping[str, str] = ENGINES) -> Iterator[KernelTable]:
    """Every table of a family (``gemm``, ``moe``) with that file name, in the order of their paths.

    Raises CatalogError when the package is not there.
    """
    pattern = re.compile(rf"systems/data/([^/]+)/{family}/([^/]+)/([^/]+)/{re.escape(file)}$")
    for path, data in _files(source, pattern):
        match = pattern.search(path)
        if match is None or match[1] not in DEVICES or match[2] not in engines:
            continue
        yield KernelTable(DEVICES[match[1]], engines[match[2]], match[3], match[0], _columns(data))


def _files(source: Path | None, pattern: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    place = source or _installed()
    if place.is_dir():
        for path in sorted(place.rglob("*.parquet")):
            if pattern.search(path.as_posix()):
                yield path.as_posix(), path.read_bytes()
        return
    with zipfile.ZipFile(place) as wheel:
        for name in sorted(wheel.namelist()):
            if pattern.search(name):
                yield name, wheel.read(name)


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise CatalogError(f"the package '{PACKAGE}' is not installed", hint="Give the path of its wheel.")
    return Path(found.origin).parent


def _columns(data: bytes) -> dict[str, Any]:
    table = importlib.import_module("pyarrow.parquet").read_table(io.BytesIO(data))
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def version_order(version: str) -> tuple[int, ...]:
    """A sort key of versions such as ``1.3.0rc20``.

    >>> version_order("1.3.0rc9") < version_order("1.3.0rc20")
    True
    """
    return tuple(int(number) for number in re.findall(r"\d+", version))
