"""The headers of safetensors files: names, types and shapes of tensors, without their data.

A file begins with the header's length (8 bytes, little-endian) and the header as JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from llmsizer.catalog.json_files import json_file, parsed, regular_size
from llmsizer.core.errors import CatalogError, shortened

LARGEST_HEADER = 100_000_000  # the format's own limit
MOST_SHARDS = 2000

# Bits of one value, by the format's type names.
DTYPE_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
}  # fmt: skip
_TORCH = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a header."""

    name: str
    dtype: str
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the headers (or the index) of a checkpoint say.

    ``parameters``: elements of all tensors, None where packed values hide them or an index that stands
    alone does not tell; ``bytes``: of all tensors; ``dtype``: the 16- or 32-bit type of most of them;
    ``quantized``: the type of most bytes when that is none of these.
    """

    bytes: int | None
    parameters: int | None = None
    dtype: str | None = None
    quantized: str | None = None


def stored_in_folder(folder: Path) -> Stored | None:
    """What the safetensors files of a model folder hold; None when there are none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return stored_in_index(index)
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))
    return summary(tensor for file in files[:MOST_SHARDS] for tensor in header(file)) if files else None


def stored_in_file(path: Path) -> Stored:
    """What one safetensors file holds; of a shard (``-00001-of-00004``), what all its siblings hold."""
    index = path.parent / "model.safetensors.index.json"
    if "-of-" in path.stem and index.is_file():
        return stored_in_index(index)
    return summary(header(path))


def stored_in_index(path: Path) -> Stored:
    """What the shards of an index hold; only its total where no shard is there."""
    data, _ = json_file(path, LARGEST_HEADER)
    places = data.get("weight_map") if isinstance(data, Mapping) else None
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise CatalogError("expected a mapping of tensors to files", file=str(path), field="weight_map")
    names = sorted(set(places.values()))
    if len(names) > MOST_SHARDS or any("/" in name or "\\" in name or "\0" in name for name in names):
        raise CatalogError("expected the names of files beside it", file=str(path), field="weight_map")
    shards = [path.parent / name for name in names]
    there = [shard for shard in shards if shard.is_file()]
    if not there:
        return _stated(data.get("metadata"))
    if len(there) < len(shards):
        missing = next(shard.name for shard in shards if shard not in there)
        raise CatalogError(f"lacks {len(shards) - len(there)} of its {len(shards)} files, such as {missing}", file=str(path))
    return summary(tensor for shard in shards for tensor in header(shard))


def _stated(metadata: Any) -> Stored:
    """The totals of an index without its files; parameters only where 2 or 4 bytes hold each."""
    totals = metadata if isinstance(metadata, Mapping) else {}
    size, parameters = (
        int(found) if isinstance(found, (int, float)) and 0 < found < 1e16 else None
        for found in (totals.get("total_size"), totals.get("total_parameters"))
    )
    plain = size is not None and parameters is not None and size in {2 * parameters, 4 * parameters}
    return Stored(bytes=size, parameters=parameters if plain else None)


def header(path: Path) -> list[StoredTensor]:
    """The tensors of a safetensors file. Raises CatalogError when it is truncated or no such file."""
    try:
        size = regular_size(path)
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length < 2 or length > size - 8:
                raise _damaged(path, f"states a header of {length:,} bytes in a file of {size:,}")
            if length > LARGEST_HEADER:
                raise _damaged(path, f"states a header of {length:,} bytes, more than the format allows")
            data = parsed(file.read(length), path)
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError:
        raise _damaged(path, "has a header that is not JSON") from None
    if not isinstance(data, dict):
        raise _damaged(path, "has a header that is not a mapping")
    return [_tensor(path, name, entry, size - 8 - length) for name, entry in data.items() if name != "__metadata__"]


def _damaged(path: Path, what: str) -> CatalogError:
    return CatalogError(what, file=str(path), hint="The file is damaged, incomplete or no safetensors file.")


def _tensor(path: Path, name: str, entry: Any, room: int) -> StoredTensor:
    if not isinstance(entry, Mapping):
        raise _damaged(path, f"tensor '{shortened(name)}' is not described by a mapping")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise CatalogError(f"unknown type {dtype!r:.40}", file=str(path), field=shortened(name))
    if not _counts(shape) or len(shape) > 16 or not _counts(span) or len(span) != 2:
        raise _damaged(path, f"tensor '{shortened(name)}' has no proper shape and place")
    elements, size = math.prod(shape), span[1] - span[0]
    if elements > 10**15 or size != -(-elements * DTYPE_BITS[dtype] // 8):
        raise _damaged(path, f"tensor '{shortened(name)}' takes {size:,} bytes, which is not its shape's")
    if span[1] > room:
        raise _damaged(path, f"ends before its tensor '{shortened(name)}'")
    return StoredTensor(name, dtype, elements, size)


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 10**16 for item in value
    )


def summary(tensors: Iterable[StoredTensor]) -> Stored:
    """The sums over the tensors of a checkpoint."""
    by_bytes: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    for tensor in tensors:
        by_bytes[tensor.dtype] += tensor.bytes
        elements[tensor.dtype] += tensor.elements
    plain = [name for name, _ in by_bytes.most_common() if name in _TORCH]
    most = by_bytes.most_common(1)[0][0] if by_bytes else ""
    packed = most in {"I32", "U32"} or (most not in _TORCH and DTYPE_BITS.get(most, 64) <= 8)
    return Stored(
        bytes=sum(by_bytes.values()), parameters=sum(elements.values()) if set(elements) <= set(_TORCH) else None,
        dtype=_TORCH[plain[0]] if plain else None, quantized=most if packed else None,
    )  # fmt: skip
