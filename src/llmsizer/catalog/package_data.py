"""The YAML files that ship with the package, read from a compiled form when it is current.

The compiled form is one JSON file under the hash of all the YAML files: their plain data, and the
validated records of the catalogs. It exists so that a single estimate starts fast. It is looked for
beside the package (wheels and editable installs write it when they are built) and in the user's
cache folder.
"""

from __future__ import annotations

import json
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import CatalogError

if TYPE_CHECKING:
    from llmsizer.core.yaml import Document

DATA = Path(__file__).parent / "data"
CATALOGS = ("hardware_catalog.yaml", "models_catalog.yaml")
CURVES = (
    "matmul", "experts", "pointwise", "attention_prefill", "attention_decode", "latent_prefill", "latent_decode",
    "scan_prefill", "scan_decode", "collectives", "host_copy", "spread", "vendors", "llama_cpp", "processors",
    "routing",
)  # fmt: skip
DOCUMENTS = (
    "architectures.yaml", "gguf_architectures.yaml", "engines.yaml", "number_formats.yaml", "quantization_schemes.yaml",
    "targets.yaml", "engine_flags.yaml", "techniques.yaml", "claims.yaml", "acceptance.yaml", "module_names.yaml",
    "coverage.yaml",
    *(f"calibrations/{name}.yaml" for name in CURVES),
)  # fmt: skip
RECORD_FILES = (*CATALOGS, "prices.yaml")
COMPILED_NAME = "_index.json"
SCHEMA = 5


def package_file(name: str) -> Path:
    """The path of a data file: in the package, or (editable install) at the repository's top."""
    packaged = DATA / name
    if packaged.exists():
        return packaged
    top = Path(__file__).parents[3] / name
    if name in CATALOGS and top.exists():
        return top
    raise CatalogError(f"the installation lacks its data file '{name}'", hint="Reinstall llmsizer.")


@lru_cache(maxsize=1)
def source_hash() -> str:
    """The checksum of every YAML file of the package and the schema of the compiled form.

    It tells an edited file from the compiled one; it is no protection against forgery.
    """
    checksum, size = zlib.crc32(str(SCHEMA).encode()), 0
    for name in (*RECORD_FILES, *DOCUMENTS):
        content = package_file(name).read_bytes()
        checksum, size = zlib.crc32(content, checksum), size + len(content)
    return f"{checksum:08x}{size:08x}"


@lru_cache(maxsize=1)
def compiled() -> dict[str, Any] | None:
    """The compiled form, when one is found whose hash is current."""
    for path in (DATA / COMPILED_NAME, cache_file()):
        try:
            content = json.loads(path.read_bytes()) if path is not None else {}
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("hash") == source_hash():
            return content
    return None


def cache_file() -> Path | None:
    """Where the compiled form is cached for a user; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME") or (os.path.join(os.environ["HOME"], ".cache") if "HOME" in os.environ else "")
    return Path(base) / "llmsizer" / f"catalog-{SCHEMA}.json" if base else None


@lru_cache(maxsize=32)
def package_data(name: str) -> Any:
    """The plain data of a YAML file of the package."""
    content = compiled()
    if content is not None and name in content["documents"]:
        return json.loads(content["documents"][name])
    return package_yaml(name).data


def package_yaml(name: str) -> Document:
    """A YAML file of the package, parsed, with its line numbers."""
    from llmsizer.core.yaml import load_file

    return load_file(package_file(name))
