"""Build hook: compiles the catalog index into the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class IndexHook(BuildHookInterface):
    """Writes ``_index.json`` beside the packaged catalogs (wheels and editable installs alike)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Parses and validates the catalogs once; a mistake in them fails the build."""
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        try:
            from llmsizer.catalog.index import compile_records, write_compiled
            from llmsizer.catalog.package_data import COMPILED_NAME, DATA

            write_compiled(DATA / COMPILED_NAME, compile_records())
        finally:
            sys.path.remove(str(source))
