"""What the prompts of some traffic share: prefixes by their popularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsizer.schema.lengths import Lengths
from llmsizer.schema.workload import PrefixGroups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Groups of nearly the same popularity are counted together beyond so many.
DISTINCT = 64


class SharedPrefix:
    """The groups of one class of requests: ``popularity`` of a group among all requests, and how many ``groups`` are so
    popular; ``share`` of the class."""

    __slots__ = ("groups", "popularity", "prompts", "share", "tokens")

    def __init__(self, sharing: PrefixGroups, share: float, prompts: Lengths) -> None:
        self.tokens, self.share, self.prompts = float(sharing.tokens), share, prompts
        self.popularity, self.groups = _zipf(int(sharing.groups), float(sharing.skew))
        self.popularity = self.popularity * share

    def whole_blocks(self, block: float) -> float:
        """Blocks of a prefix that others may read."""
        return self.tokens // block

    def found_blocks(self, block: float) -> float:
        """Blocks that a prompt finds on average when its prefix is cached: whole ones, and its last token is computed."""
        import numpy as np

        values, weights = self.prompts.support()
        shared = np.minimum(values, self.tokens) // block
        return float(np.minimum(shared, (values - 1) // block) @ weights)


class Prefixes:
    """All that is shared in some traffic: ``classes`` with prefixes, and the share of the prompt tokens that is found
    whatever the cache holds (``always``: given hit rates, and earlier turns)."""

    __slots__ = ("always", "classes")

    def __init__(self, classes: tuple[SharedPrefix, ...], always: float) -> None:
        self.classes, self.always = classes, always


def _zipf(groups: int, skew: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the groups by Zipf's law; rare ones, alike in popularity, in ranges of ranks."""
    import numpy as np

    if skew == 0:
        return np.array([1.0 / groups]), np.array([float(groups)])
    chances = np.arange(1, groups + 1, dtype=float) ** -skew
    chances /= chances.sum()
    if groups <= DISTINCT:
        return chances, np.ones(groups)
    starts = np.unique(np.geomspace(1, groups, DISTINCT).astype(int) - 1)
    counts = np.diff(np.append(starts, groups)).astype(float)
    return np.add.reduceat(chances, starts) / counts, counts
