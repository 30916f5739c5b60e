"""All comparisons of estimates with shipped measurements."""

from __future__ import annotations

from llmsizer.catalog.catalog import Catalog
from llmsizer.validation.file_rows import buffer_errors, checkpoint_errors
from llmsizer.validation.memory_rows import memory_errors
from llmsizer.validation.statistics import ErrorRow


def all_errors(catalog: Catalog) -> list[ErrorRow]:
    """Every comparison, in the order of the report."""
    return [*memory_errors(catalog), *checkpoint_errors(catalog), *buffer_errors(catalog)]
