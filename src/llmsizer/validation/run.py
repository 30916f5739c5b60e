"""All comparisons of estimates with shipped measurements."""

from __future__ import annotations

from collections.abc import Callable

from llmsizer.catalog.catalog import Catalog
from llmsizer.validation.causes import with_causes
from llmsizer.validation.file_rows import buffer_errors, checkpoint_errors
from llmsizer.validation.local_rows import local_errors
from llmsizer.validation.memory_rows import memory_errors
from llmsizer.validation.run_rows import run_memory_errors, run_speed_errors
from llmsizer.validation.speed_rows import speed_errors
from llmsizer.validation.statistics import ErrorRow

PARTS: dict[str, tuple[Callable[[Catalog], list[ErrorRow]], ...]] = {
    "memory": (memory_errors, checkpoint_errors, buffer_errors, run_memory_errors),
    "speed": (speed_errors, local_errors, run_speed_errors),
}


def all_errors(catalog: Catalog, part: str | None = None) -> list[ErrorRow]:
    """Every comparison, in the order of the report; of one part where it is named."""
    chosen = PARTS.values() if part is None else [PARTS[part]]
    return with_causes(error for functions in chosen for function in functions for error in function(catalog))
