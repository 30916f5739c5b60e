"""The highest load that one deployment bears within its targets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.planner.fleets import fleets_of
from llmsizer.planner.screen import SHARES, capacity, loads
from llmsizer.planner.targets import Target
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator

# Loads between two of the search's.
STEPS = 8
FINE = (*(low + (high - low) * step / STEPS for low, high in pairwise(SHARES) for step in range(STEPS)), 1.0)


def highest_rate(words: Words, device: Accelerator, targets: Sequence[Target], catalog: Catalog) -> float | None:
    """Requests a second that a replica bears within the targets; None where it bears none or does not fit."""
    import numpy as np

    try:
        fleet = fleets_of(words, [device], catalog)[0][0]
        held = fleet.held(words, catalog, np.array([0]))
    except LlmsizerError:
        return None
    if held is None:
        return None
    rate = float(capacity(loads(held.case, held.most, FINE), targets).rate[0])
    return rate if np.isfinite(rate) and rate > 0 else None
