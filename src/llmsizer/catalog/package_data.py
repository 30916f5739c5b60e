"""The YAML files that ship with the package, and the two catalogs at the top of the repository."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from llmsizer.core.errors import CatalogError
from llmsizer.core.yaml import Document, load_file

DATA = Path(__file__).parent / "data"
CATALOGS = ("hardware_catalog.yaml", "models_catalog.yaml")


@lru_cache(maxsize=32)
def package_yaml(name: str) -> Document:
    """A YAML file of the package, parsed once."""
    return load_file(package_file(name))


def package_file(name: str) -> Path:
    """The path of a data file: in the package, or (editable install) at the repository's top."""
    packaged = DATA / name
    if packaged.exists():
        return packaged
    top = Path(__file__).parents[3] / name
    if name in CATALOGS and top.exists():
        return top
    raise CatalogError(f"the installation lacks its data file '{name}'", hint="Reinstall llmsizer.")
