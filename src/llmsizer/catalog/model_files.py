"""Models from files: a config.json, a model folder, safetensors headers or a GGUF file.

Only headers are read, never tensor data; every length a file states is held against the file's size
before anything is read by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog.architectures import TEXT_CONFIGS
from llmsizer.catalog.json_files import json_file
from llmsizer.catalog.models import model_of_entry
from llmsizer.catalog.paths import is_model_path
from llmsizer.catalog.quantization_config import QUANTIZATION_KEYS
from llmsizer.catalog.safetensors_files import MOST_SHARDS, Stored, stored_in_file, stored_in_folder, stored_in_index
from llmsizer.core.errors import CatalogError, shortened
from llmsizer.core.explain import Provenance, Source
from llmsizer.schema.model import Checks, Model
from llmsizer.schema.number_format import QuantizationScheme

LARGEST_CONFIG = 8 * 2**20
__all__ = ["ModelSource", "expanded", "is_model_path", "model_from_path", "model_source"]
# Where older tools say how they quantized, beside a config.json that does not.
QUANTIZATION_FILES = {"hf_quant_config.json": "modelopt", "quantize_config.json": "gptq", "quant_config.json": "awq"}
_HUB_CACHE = re.compile(r"^models--([^/]+?)--([^/]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """What a path says of a model, before a Model is made of it.

    ``config`` is spelt like config.json and stands in ``file`` (``lines``: of its keys); ``stored``
    is what safetensors headers hold, where there are some.
    """

    name: str
    file: Path
    config: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    stored: Stored | None = None
    notes: tuple[str, ...] = ()

    def model(self) -> Model:
        """The Model; CatalogError with file, line and field for what the config lacks."""
        source = Source(str(self.file), tier="specified")
        made = model_of_entry(self.name, {"config": self.config}, Provenance(source), str(self.file), self.lines)
        stored = self.stored
        checks = Checks()
        if stored is not None and stored.parameters is not None and made.native_quantization == made.torch_dtype:
            checks = Checks(total_parameters=stored.parameters, source=f"safetensors headers of {self.file.parent.name}")
        return replace(made, checks=checks, notes="; ".join(note for note in (*self.notes, made.notes) if note))


def model_from_path(path: Path) -> tuple[Model, QuantizationScheme | None]:
    """The model of a file or folder, and the scheme of its tensors where the file spells it out (GGUF).

    Raises CatalogError naming the file, and where possible line and field, for anything missing,
    damaged or unknown.
    """
    found = expanded(path)
    return _model_of(found, _stamp(found))


@lru_cache(maxsize=16)
def _model_of(path: Path, stamp: object) -> tuple[Model, QuantizationScheme | None]:
    """Read once for as long as the files stay as they are."""
    if path.suffix.lower() == ".gguf":
        from llmsizer.catalog.gguf_models import gguf_model

        return gguf_model(path)
    return model_source(path).model(), None


def _stamp(path: Path) -> object:
    """What changes when a model's files change: their sizes and times."""
    folder = path if path.is_dir() else path.parent
    kind = "*.gguf" if path.suffix.lower() == ".gguf" else "*.safetensors*"
    beside = [folder / "config.json", *(folder / name for name in QUANTIZATION_FILES), *sorted(folder.glob(kind))[:MOST_SHARDS]]
    stats = [(file.name, file.stat()) for file in (path, *beside) if file.exists()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def expanded(path: Path) -> Path:
    """The path with ``~`` opened; CatalogError when nothing is there or it cannot be looked at."""
    try:
        found = path.expanduser()
        if not found.exists():
            raise CatalogError("no such file or folder", file=shortened(str(path)), hint="Expected a config.json, a model "
                               "folder, a .safetensors file or index, or a .gguf file.")  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        raise CatalogError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=shortened(str(path))) from None
    return found


def model_source(path: Path) -> ModelSource:
    """What a config.json, a model folder or a safetensors file or index says (``path`` exists)."""
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".safetensors":
        return _beside(path, stored_in_file(path))
    if path.name.lower().endswith(".safetensors.index.json"):
        return _beside(path, stored_in_index(path))
    if path.suffix.lower() == ".gguf":
        from llmsizer.catalog.gguf_models import gguf_source

        return gguf_source(path)
    return _with_stored(path, None)


def _folder(folder: Path) -> ModelSource:
    config = folder / "config.json"
    if not config.is_file():
        held = sorted(child.name for child in folder.glob("*.gguf"))
        hint = f"It holds {', '.join(held[:3])}: name that file." if held else "A model folder holds a config.json."
        raise CatalogError("has no config.json", file=str(folder), hint=hint)
    return _with_stored(config, stored_in_folder(folder))


def _beside(path: Path, stored: Stored) -> ModelSource:
    config = path.parent / "config.json"
    if not config.is_file():
        raise CatalogError(
            "needs the config.json that belongs to it", file=str(path),
            hint=f"Expected {config}: tensor shapes alone do not tell heads, windows or experts per token.",
        )  # fmt: skip
    return _with_stored(config, stored)


def _with_stored(file: Path, stored: Stored | None) -> ModelSource:
    config, lines = config_file(file)
    config, notes = _with_quantization(config, file.parent)
    if stored is None:
        return ModelSource(name=model_name(file), file=file, config=config, lines=lines, notes=notes)
    if stored.dtype is not None and not (config.get("torch_dtype") or config.get("dtype")):
        inner = config.get("text_config")
        if not (isinstance(inner, Mapping) and (inner.get("torch_dtype") or inner.get("dtype"))):
            config = {**config, "torch_dtype": stored.dtype}
    if stored.quantized is not None and not is_quantized(config):
        raise CatalogError(
            f"is missing, but most weights are stored as {stored.quantized}", file=str(file), field="quantization_config",
            hint="Expected a quantization_config that says how the weights are scaled.",
        )  # fmt: skip
    return ModelSource(name=model_name(file), file=file, config=config, lines=lines, stored=stored, notes=notes)


def is_quantized(config: Mapping[str, Any]) -> bool:
    """Whether a config says how its weights are quantized, under any of the keys it may use."""
    inner = [config[key] for key in TEXT_CONFIGS if isinstance(config.get(key), Mapping)]
    return any(part.get(key) for part in (config, *inner) for key in QUANTIZATION_KEYS)


def _with_quantization(config: dict[str, Any], folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The config with the quantization that a file beside it tells, and a note that says so."""
    for name, method in QUANTIZATION_FILES.items():
        if is_quantized(config) or not (folder / name).is_file():
            continue
        data, _ = json_file(folder / name, LARGEST_CONFIG)
        if not isinstance(data, dict):
            raise CatalogError("expected a mapping", file=str(folder / name), line=1)
        said = {**data, "quant_method": data.get("quant_method") or method}
        return {**config, "quantization_config": said}, (f"quantization read from {name}",)
    return config, ()


def model_name(file: Path) -> str:
    """A model's name from where its file lies: the folder, or the Hub id where the folder is a Hub cache."""
    try:
        parts = file.resolve().parent.parts if not file.is_symlink() else file.absolute().parent.parts
    except (OSError, RuntimeError):
        parts = file.parent.parts
    for part in reversed(parts):
        if found := _HUB_CACHE.match(part):
            return f"{found[1]}/{found[2]}"
    return parts[-1] if parts and parts[-1] not in {"/", ""} else file.stem


def config_file(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping in a config.json and the line of each of its keys."""
    data, text = json_file(path, LARGEST_CONFIG)
    if not isinstance(data, dict):
        raise CatalogError("expected a mapping, as config.json is", file=str(path), line=1)
    if "weight_map" in data and "model_type" not in data:
        raise CatalogError("is an index of tensors, not a config.json", file=str(path), hint="Name the model folder instead.")
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r'\s*\{?\s*"([^"\\]{1,80})"\s*:', line):
            lines.setdefault(found[1], number)
    return data, lines
