"""Build hook: compiles the catalog index into the package."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class IndexHook(BuildHookInterface):
    """Brings ``_index.json`` beside the packaged catalogs: into wheels by way of a folder of its own, since the source tree
    may be read-only; for editable installs into the source tree, where that can be written."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Parses and validates the catalogs once; a mistake in them fails the build."""
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        try:
            from llmsizer.catalog.index import compile_records, write_compiled
            from llmsizer.catalog.package_data import COMPILED_NAME, DATA
        finally:
            sys.path.remove(str(source))
        if version == "editable":
            write_compiled(DATA / COMPILED_NAME, compile_records())
            return
        self.folder = tempfile.mkdtemp()
        index = Path(self.folder) / COMPILED_NAME
        write_compiled(index, compile_records())
        build_data["force_include"][str(index)] = f"llmsizer/catalog/data/{COMPILED_NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes the folder of the index."""
        if version != "editable":
            shutil.rmtree(self.folder, ignore_errors=True)
