"""The catalog: every noun by name, with user overlays laid over the built-in entries.

Built-in entries come validated from a compiled index when its hash matches the YAML files, so a
single estimate neither parses YAML nor imports the validator; overlays are always parsed and
validated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog import index
from llmsizer.catalog.calibrations import calibration_of
from llmsizer.catalog.engines import engine_profile
from llmsizer.catalog.formats import quantization_scheme
from llmsizer.catalog.models import model_of_entry
from llmsizer.catalog.names import find, name_table
from llmsizer.catalog.records import Record, accelerator_of_processor, noun_of
from llmsizer.core.errors import CatalogError, InvalidQuestion, UnknownName
from llmsizer.core.quantities import quantity_of
from llmsizer.schema.accelerator import Accelerator, Node, Processor
from llmsizer.schema.calibration import Calibration
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme

ENVIRONMENT = "LLMSIZER_CATALOG"


@dataclass(frozen=True, eq=False)
class Catalog:
    """All nouns by id. ``records`` maps a section to its entries; the files ``overlays`` are already merged in."""

    records: Mapping[str, Mapping[str, Record]]
    overlays: tuple[str, ...] = ()
    _made: dict[tuple[str, str], Any] = field(default_factory=dict)

    def names(self, section: str) -> list[str]:
        """The ids of a section: ``accelerators``, ``cpus``, ``nodes`` or ``models``."""
        return list(self.records.get(section, {}))

    def _noun(self, section: str, name: str) -> Any:
        key = (section, name)
        if key not in self._made:
            self._made[key] = noun_of(section, name, self.records[section][name])
        return self._made[key]

    @cached_property
    def _tables(self) -> dict[str, dict[str, str]]:
        def aliases(*sections: str) -> dict[str, tuple[str, ...]]:
            return {name: index.aliases_of(self.records[s], name) for s in sections for name in self.records[s]}

        return {
            "hardware": name_table(aliases("accelerators", "cpus")),
            "models": name_table(aliases("models")),
            "nodes": name_table(aliases("nodes")),
        }

    def known_names(self, kind: str) -> list[str]:
        """Every lower-case name that a kind of noun answers to: ``models``, ``hardware`` or ``nodes``."""
        return list(self._tables[kind])

    def model_id(self, name: str) -> str | None:
        """The id of a model by id or alias; None when there is none."""
        return find(self._tables["models"], name)

    def model(self, name: str) -> Model:
        """A model by id or alias. Raises UnknownName with the nearest names."""
        found = self.model_id(name)
        if found is None:
            raise UnknownName("model", name, self.all_model_names(), model_hint(name))
        key = ("models", found)
        if key not in self._made:
            record = self.records["models"][found]
            self._made[key] = model_of_entry(
                found, record.data, record.provenance(), f"{record.file} (models.{found})", record.lines
            )
        return self._made[key]  # type: ignore[no-any-return]

    def all_model_names(self) -> list[str]:
        """Every id and alias of a model."""
        models = self.records["models"]
        return [*models, *(alias for each in models for alias in index.aliases_of(models, each))]

    def all_device_names(self) -> list[str]:
        """Every id and alias of an accelerator."""
        devices = self.records["accelerators"]
        return [*devices, *(alias for each in devices for alias in index.aliases_of(devices, each))]

    def model_or_file(self, name: str) -> Model:
        """A model by name, or read from a path (config.json, model folder, .gguf)."""
        from llmsizer.catalog.model_files import is_model_path, model_from_path

        return model_from_path(Path(name).expanduser())[0] if is_model_path(name) else self.model(name)

    def accelerator(self, name: str) -> Accelerator:
        """A device by id or alias; ``name@64GiB`` gives one with another memory size."""
        base, _, size = name.partition("@")
        found = find(self._tables["hardware"], base)
        if found is None:
            known = [*self.names("accelerators"), *self.names("cpus"), *self._tables["hardware"]]
            raise UnknownName("hardware", name, dict.fromkeys(known), "`llmsizer hardware list` prints all.")
        if found in self.records["cpus"]:
            return accelerator_of_processor(self._noun("cpus", found), size)
        device: Accelerator = self._noun("accelerators", found)
        return _resized(device, size) if size else device

    def processor(self, name: str) -> Processor:
        """A host processor by id."""
        if name not in self.records["cpus"]:
            raise UnknownName("processor", name, self.names("cpus"))
        return self._noun("cpus", name)  # type: ignore[no-any-return]

    def node(self, name: str) -> Node:
        """A machine by id."""
        found = find(self._tables["nodes"], name)
        if found is None:
            raise UnknownName("machine", name, self.names("nodes"))
        return self._noun("nodes", found)  # type: ignore[no-any-return]

    def nodes_of(self, accelerator: str) -> list[Node]:
        """The machines that hold an accelerator."""
        return [node for name in self.names("nodes") if (node := self.node(name)).accelerator == accelerator]

    def networked_node(self, accelerator: str) -> Node | None:
        """The machine that joins an accelerator to other machines best: the most network bandwidth a device,
        of several the first. None where no machine with a network is known."""
        key = ("networked", accelerator)
        if key not in self._made:
            known = [node for node in self.nodes_of(accelerator) if node.network_bandwidth is not None]
            self._made[key] = max(known, key=lambda node: float(node.network_bandwidth or 0) / node.accelerators, default=None)
        return self._made[key]  # type: ignore[no-any-return]

    def engine(self, name: str, accelerator: Accelerator) -> EngineProfile:
        """An engine profile; see ``llmsizer.catalog.engines``."""
        return engine_profile(name, accelerator)

    def calibration(self, name: str, accelerator: Accelerator, engine: str) -> Calibration:
        """The curves of a device under an engine; see ``llmsizer.catalog.calibrations``."""
        return calibration_of(name, accelerator, engine)

    def scheme(self, name: str) -> QuantizationScheme:
        """A quantization scheme by id or alias."""
        return quantization_scheme(name)


def _resized(device: Accelerator, size: str) -> Accelerator:
    memory = quantity_of(f"'{device.id}@{size}'", size, "byte")
    if not 0 < memory < float("inf"):
        raise InvalidQuestion(f"'{device.id}@{size}': expected a size of memory above zero", f"for example: {device.id}@64GiB")
    if not device.unified_memory:
        raise InvalidQuestion(
            f"'{device.id}' has {device.memory_capacity / 2**30:.0f} GiB, got '@{size}'",
            "Only devices with unified memory come in several sizes; override others in a catalog file.",
        )
    share = device.usable_memory / device.memory_capacity
    return replace(device, id=f"{device.id}@{size}", memory_capacity=memory, usable_memory=memory * share, driver_memory=None)


_SCHEME_SUFFIXES = {
    "awq": "awq", "gptq": "gptq", "fp8": "fp8", "nvfp4": "nvfp4", "bnb-4bit": "nf4-dq", "gguf": "Q4_K_M",
    "int8": "int8", "w4a16": "w4a16", "w8a8": "int8", "gptq-int4": "gptq", "gptq-int8": "gptq-int8",
}  # fmt: skip


def model_hint(name: str) -> str:
    """What to do about a model that is in no catalog."""
    lowered = name.lower()
    for suffix, scheme in sorted(_SCHEME_SUFFIXES.items(), key=lambda item: -len(item[0])):
        if lowered.endswith(("-" + suffix, "_" + suffix)):
            return f"For a quantized checkpoint name the base model and add -q {scheme}."
    return "A path to its config.json, a model folder or a .gguf file works too."


def overlay_paths(given: Sequence[str | Path] | str | Path | None) -> tuple[Path, ...]:
    """The overlay files in the order they apply: the user's configuration folder, then
    ``LLMSIZER_CATALOG`` (paths separated like PATH), then those given."""
    found: list[Path] = []
    home = os.environ.get("XDG_CONFIG_HOME") or (os.path.join(os.environ["HOME"], ".config") if "HOME" in os.environ else "")
    if home and (folder := Path(home) / "llmsizer" / "catalog").is_dir():
        found += _files(folder)
    for text in filter(None, os.environ.get(ENVIRONMENT, "").split(os.pathsep)):
        found += _files(Path(text))
    if given is not None:
        listed = [given] if isinstance(given, (str, Path)) else list(given)
        for path in listed:
            files = _files(Path(path))
            if not files:
                raise CatalogError("holds no .yaml file", file=str(path), hint="Given with --catalog.")
            found += files
    return tuple(found)


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(child for child in path.iterdir() if child.suffix in {".yaml", ".yml"})
        if path.exists():
            return [path]
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from error
    raise CatalogError("no such file or folder", file=str(path), hint="Given with --catalog or LLMSIZER_CATALOG.")


def load_catalog(paths: Sequence[str | Path] | str | Path | None = None) -> Catalog:
    """The built-in catalog with the user's overlays over it.

    ``paths``: files or folders of YAML laid over it last. Raises CatalogError with file, line and
    field for anything wrong in them.
    """
    overlays = overlay_paths(paths)
    stamps = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in overlays)
    return _load(overlays, stamps)


@lru_cache(maxsize=8)
def _load(overlays: tuple[Path, ...], stamps: tuple[Any, ...]) -> Catalog:
    records = index.built_in_records()
    if overlays:
        from llmsizer.catalog.validation import overlay

        for path in overlays:
            records = overlay(records, path)
    return Catalog(records, tuple(str(path) for path in overlays))
