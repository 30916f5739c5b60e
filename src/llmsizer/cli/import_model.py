"""``llmsizer import``: a model's files become a catalog entry to review."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from llmsizer.cli.manner import remark
from llmsizer.cli.options import CatalogPaths, catalog_of
from llmsizer.core.errors import CatalogError

EXAMPLES = """Examples:

  llmsizer import ./my-model -o my-model.yaml

  llmsizer import ./my-model/config.json --id my-org/my-model

  llmsizer import mistralai/Mistral-Nemo-Instruct-2407 -o nemo.yaml
"""


def command(
    source: Annotated[
        str, typer.Argument(help="A config.json, a model folder, a .safetensors file or index, a .gguf file, or a Hub id.")
    ],
    id_: Annotated[str | None, typer.Option("--id", help="The name of the entry (default: from the source).")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="The file to write (default: print it).")] = None,
    catalog: CatalogPaths = None,
) -> None:
    """Writes a models-catalog entry from a model's own files, for review; --catalog FILE then uses it."""
    from llmsizer.authoring.import_model import entry_text, import_source

    found = import_source(source, catalog_of(catalog))
    name = id_ or found.name
    text = entry_text(found, name, source, datetime.now(UTC).date())
    if output is None:
        print(text, end="")
        return
    try:
        with Path(output).expanduser().open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        hint = "Choose another name, or remove it first." if isinstance(error, FileExistsError) else ""
        raise CatalogError(f"cannot be written: {error.strerror}", file=output, hint=hint) from None
    remark(f"wrote {output}; try: llmsizer models show {name} --catalog {output}")
