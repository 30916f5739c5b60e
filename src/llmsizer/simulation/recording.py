"""What a replica notes while it runs: intervals, gaps between tokens, counts of work."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVAL = ("start_seconds", "end_seconds", "running", "decoding", "waiting", "kv_blocks_used", "output_tokens")


class Recorder:
    """Intervals of the run (one for each step, or for a run of like steps) and token gaps."""

    def __init__(self) -> None:
        self.intervals = array("d")
        self.gaps = array("d")
        self.computed_prompt_tokens = 0
        self.output_tokens = 0
        self.steps = 0
        self.preemptions = 0

    def interval(self, start: float, end: float, running: int, decoding: int, waiting: int, used: int, tokens: int) -> None:
        """A stretch of time during which these numbers held; ``tokens`` came out in it."""
        self.intervals.extend((start, end, running, decoding, waiting, used, tokens))
        self.output_tokens += tokens

    def gap(self, now: float, first: float, growth: float, steps: int, sequences: int) -> None:
        """Gaps between a sequence's tokens, the last of which ended now: ``first``, ``first + growth``, …
        once for each sequence."""
        if sequences and steps:
            self.gaps.extend((now, first, growth, steps, sequences))

    def timeline(self) -> dict[str, NDArray[np.float64]]:
        """The intervals as one array for each column."""
        import numpy as np

        width = len(INTERVAL)
        table = np.frombuffer(self.intervals, dtype=float).reshape(-1, width) if self.intervals else np.empty((0, width))
        return {name: table[:, place].copy() for place, name in enumerate(INTERVAL)}

    def token_gaps(self, start: float, end: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The gaps between tokens in a stretch of time, with how many sequences had each."""
        import numpy as np

        table = np.frombuffer(self.gaps, dtype=float).reshape(-1, 5) if self.gaps else np.empty((0, 5))
        inside = table[(table[:, 0] > start) & (table[:, 0] <= end)]
        _, first, growth, steps, sequences = inside.T
        counts: Any = steps.astype(int)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(first, counts) + np.repeat(growth, counts) * place, np.repeat(sequences, counts)
