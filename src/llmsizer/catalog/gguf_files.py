"""The head of GGUF files: metadata and the list of tensors, without their data.

The head is read through a memory map; every length it states is held against the file's size, and
long arrays (vocabularies) are skipped. Type numbers and their block sizes come from the package gguf.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsizer.catalog.json_files import regular_size
from llmsizer.core.errors import CatalogError, UnsupportedCombination, shortened

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# Bounds that no model's file comes near; beyond them a damaged file would only waste time.
MOST_KEYS, MOST_TENSORS, MOST_STRINGS, LONGEST_NAME = 10_000, 100_000, 3_000_000, 65_536
KEPT_ITEMS = 4096  # longer arrays are skipped: nothing per layer is longer
ALIGNMENT = 32
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_SPLIT = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: its type by ggml's name, its shape (row width first), elements and bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """Metadata and tensors of a GGUF file, or of all files of a split one."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A long array of the metadata, of which only the length is known."""

    count: int


def gguf_file(path: Path) -> GgufFile:
    """The head of a GGUF file; of one part of a split file (``-00001-of-00003``), of all parts.

    Raises CatalogError for a damaged, truncated or foreign file, UnsupportedCombination where the
    package gguf is missing.
    """
    kinds = _types()
    parts = [_head(part, kinds) for part in _parts(path)]
    first = parts[0]
    if len(parts) == 1 and (count := first.metadata.get("split.count")) not in {None, 0, 1}:
        raise CatalogError(
            f"is one of {count!s:.20} parts of a split file", file=str(path),
            hint="Keep the parts' names, which end in -00001-of-0000N.gguf, and put them in one folder.",
        )  # fmt: skip
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise _damaged(path, "lists a tensor twice")
    return GgufFile(path, first.metadata, tensors)


def _types() -> dict[int, tuple[str, int, int]]:
    """The types of ggml by number: name, elements of a block, bytes of a block."""
    try:
        from gguf.constants import GGML_QUANT_SIZES
    except ImportError:
        raise UnsupportedCombination(
            "reading a .gguf file needs the package gguf", 'Install it with: pip install "llmsizer[gguf]".'
        ) from None
    return {int(kind): (kind.name, *size) for kind, size in GGML_QUANT_SIZES.items()}


def _parts(path: Path) -> list[Path]:
    found = _SPLIT.match(path.name)
    if found is None:
        return [path]
    count = int(found[3])
    if not 1 <= count <= 1000:
        raise CatalogError(f"names {count} parts", file=str(path))
    parts = [path.with_name(f"{found[1]}-{number:05}-of-{found[3]}{path.suffix}") for number in range(1, count + 1)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise CatalogError(f"lacks {len(missing)} of its {count} parts, such as {missing[0]}", file=str(path))
    return parts


def _damaged(path: Path, what: str) -> CatalogError:
    return CatalogError(what, file=str(path), hint="The file is damaged, incomplete or no GGUF file.")


def _head(path: Path, kinds: Mapping[int, tuple[str, int, int]]) -> GgufFile:
    try:
        regular_size(path)
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise _damaged(path, "does not begin with 'GGUF'")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                return _Head(path, view, kinds).read()
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except (struct.error, ValueError, OverflowError):
        raise _damaged(path, "ends within its head") from None


class _Head:
    """Reads a head from front to back; ``at`` is the place of the next byte."""

    def __init__(self, path: Path, view: mmap.mmap, kinds: Mapping[int, tuple[str, int, int]]) -> None:
        self.path, self.view, self.kinds, self.at, self.strings = path, view, kinds, 4, 0

    def read(self) -> GgufFile:
        """Metadata and tensors."""
        version = self.number("<I")
        if version not in VERSIONS:
            what = "is big-endian" if version in {v << 24 for v in VERSIONS} else f"has GGUF version {version}"
            raise CatalogError(what, file=str(self.path), hint="Little-endian GGUF of version 2 or 3 is read.")
        tensors, keys = self.number("<Q"), self.number("<Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise _damaged(self.path, f"states {keys:,} keys and {tensors:,} tensors")
        metadata = {}
        for _ in range(keys):
            key = self.text()
            metadata[key] = self.value(self.number("<I"), key)
        entries = [self.tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise _damaged(self.path, "states an impossible alignment")
        room = len(self.view) - -(-self.at // alignment) * alignment
        for tensor, offset in entries:
            if offset + tensor.bytes > room:
                raise _damaged(self.path, f"ends before its tensor '{shortened(tensor.name)}'")
        return GgufFile(self.path, metadata, tuple(tensor for tensor, _ in entries))

    def number(self, form: str) -> Any:
        """The next number of a form of the struct module."""
        (found,) = struct.unpack_from(form, self.view, self.at)
        self.at += struct.calcsize(form)
        return found

    def text(self, longest: int = LONGEST_NAME) -> str:
        """The next string."""
        length = self.number("<Q")
        if length > min(longest, len(self.view) - self.at):
            raise _damaged(self.path, f"states a text of {length:,} bytes")
        self.at += length
        return self.view[self.at - length : self.at].decode("utf-8", "replace")

    def value(self, kind: int, key: str) -> Any:
        """The next value of a type; long arrays and texts are skipped."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text(longest=len(self.view))[:4096]
        if kind != _ARRAY:
            raise _damaged(self.path, f"has a value of unknown type {kind} under '{shortened(key)}'")
        inner, count = self.number("<I"), self.number("<Q")
        return self.array(inner, count, key)

    def array(self, inner: int, count: int, key: str) -> Any:
        """The next array: its items, or their number when it is long or of texts."""
        size = struct.calcsize(_SCALARS[inner]) if inner in _SCALARS else 8
        if (inner not in _SCALARS and inner != _STRING) or count * size > len(self.view) - self.at:
            raise _damaged(self.path, f"has an array of {count:,} items of type {inner} under '{shortened(key)}'")
        if inner == _STRING:
            self.skip_strings(count)
            return Skipped(count)
        self.at += count * size
        if count > KEPT_ITEMS:
            return Skipped(count)
        return list(struct.unpack_from(f"<{count}{_SCALARS[inner][1]}", self.view, self.at - count * size))

    def skip_strings(self, count: int) -> None:
        """Passes over strings without reading them."""
        self.strings += count
        if self.strings > MOST_STRINGS:
            raise _damaged(self.path, f"states {self.strings:,} texts")
        read, at, end = struct.Struct("<Q").unpack_from, self.at, len(self.view)
        for _ in range(count):
            at += 8 + read(self.view, at)[0]
            if at > end:
                raise _damaged(self.path, "ends within a text")
        self.at = at

    def tensor(self) -> tuple[GgufTensor, int]:
        """The next tensor and where its data begins."""
        name, dimensions = self.text(), self.number("<I")
        if not 0 <= dimensions <= 8:
            raise _damaged(self.path, f"gives tensor '{shortened(name)}' {dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))
        kind, offset = self.number("<I"), self.number("<Q")
        if kind not in self.kinds:
            raise CatalogError(
                f"tensor type {kind} is not known", file=str(self.path), field=shortened(name),
                hint="A newer package gguf may know it: pip install -U gguf.",
            )  # fmt: skip
        type_name, block, block_bytes = self.kinds[kind]
        elements = math.prod(shape) if all(0 < size < 2**48 for size in shape) else 0
        if not 0 < elements < 10**15 or (shape[0] if shape else 1) % block:
            raise _damaged(self.path, f"gives tensor '{shortened(name)}' an impossible shape")
        return GgufTensor(name, type_name, shape, elements, elements // block * block_bytes), offset
