"""How long an engine step takes: the interface, and a clock that remembers what it asked."""

from __future__ import annotations

from typing import Protocol


class StepTimes(Protocol):
    """The seconds of one engine step."""

    def seconds(
        self,
        decode_batch: float,
        decode_context: float,
        prefill_tokens: float,
        prefill_context: float,
        prefill_sequences: float,
    ) -> float:
        """Seconds of a step that decodes one token for each of ``decode_batch`` sequences and
        processes ``prefill_tokens`` prompt tokens.

        ``decode_context``: mean tokens in the cache of the decoding sequences before the step;
        ``prefill_context``: mean tokens already in the cache that a prompt token attends to besides
        its own chunk; ``prefill_sequences``: prompts that end in this step and yield a token.
        """
        ...


# Segments of the tabulated context: sixteen to an octave, never shorter than this.
SHORTEST_SEGMENT = 32


def _segment(context: float) -> tuple[int, int]:
    """The ends of the table's segment that holds a context.

    >>> _segment(1100.0)
    (1088, 1152)
    """
    width = max(SHORTEST_SEGMENT, 1 << max(int(context).bit_length() - 5, 0))
    low = int(context) // width * width
    return low, low + width


class StepClock:
    """Step times for one run: asked at table points and linear in the context between them.

    With ``exact`` every step is asked for by itself. ``growth``: tokens that a step adds to each context.
    """

    def __init__(self, steps: StepTimes, exact: bool = False, growth: float = 1.0) -> None:
        self.steps, self.exact, self.growth = steps, exact, growth
        self._nodes: dict[tuple[float, ...], float] = {}
        self._lines: dict[tuple[float, ...], tuple[float, float]] = {}
        self._seen: dict[tuple[float, ...], float] = {}

    def decode_run(self, batch: int, context: float) -> tuple[float, float, int]:
        """Seconds of a pure decode step, their growth with each further step (every context one token
        longer), and for how many steps that line holds."""
        if self.exact:
            return self.steps.seconds(batch, context, 0.0, 0.0, 0.0), 0.0, 1
        low, high = _segment(context)
        first, slope = self._line((batch, 0, 0.0, 0), low, high)
        return first + slope * (context - low), slope * self.growth, int((high - context) / self.growth) + 1

    def mixed(self, batch: int, context: float, tokens: float, cached: float, sequences: float) -> float:
        """Seconds of a step with prompt tokens in it."""
        key = (batch, tokens, cached, sequences)
        if self.exact:
            return self.steps.seconds(batch, context, tokens, cached, sequences)
        if batch == 0:
            if key not in self._seen:
                self._seen[key] = self.steps.seconds(0, 0.0, tokens, cached, sequences)
            return self._seen[key]
        if key not in self._seen:  # once: ask; again: it pays to tabulate
            self._seen[key] = 0.0
            return self.steps.seconds(batch, context, tokens, cached, sequences)
        low, high = _segment(context)
        first, slope = self._line(key, low, high)
        return first + slope * (context - low)

    def _line(self, key: tuple[float, ...], low: int, high: int) -> tuple[float, float]:
        found = self._lines.get((*key, low))
        if found is None:
            first, last = self._node(key, low), self._node(key, high)
            found = self._lines[(*key, low)] = first, (last - first) / (high - low)
        return found

    def _node(self, key: tuple[float, ...], context: int) -> float:
        place = (*key, context)
        if place not in self._nodes:
            batch, tokens, cached, sequences = key
            self._nodes[place] = self.steps.seconds(batch, float(context), tokens, cached, sequences)
        return self._nodes[place]
