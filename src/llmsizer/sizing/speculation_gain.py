"""What speculation brings at a batch, and up to which batch it pays."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count, Fraction, Tokens
from llmsizer.formulas.speculation import speculation_gain
from llmsizer.schema.deployment import Case
from llmsizer.sizing.lengths import decoding_context
from llmsizer.sizing.speculation import speculation_of
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import decode_step


@dataclass(frozen=True, slots=True)
class SpeculationGain:
    """``gain``: how many times faster tokens come at the batch asked for. It pays up to ``most_batch`` sequences in a
    step of one attention rank: 0 where it never does, ``max_num_seqs`` where it always does. ``accepted``: the chance
    that the first guess stands, that the first two stand …; ``source``: who says so."""

    method: str
    guesses: Count
    accepted: tuple[Fraction, ...]
    source: str
    tokens_per_step: Tokens
    gain: Fraction
    most_batch: int
    always_pays: bool

    @property
    def reach(self) -> str:
        """Up to which batch it pays, in words."""
        if self.always_pays:
            return f"pays up to the {self.most_batch:,} sequences that a step may hold"
        return f"pays up to {self.most_batch:,} sequences in a step" if self.most_batch else "pays at no batch"


def gain_of(case: Case, batch: float) -> SpeculationGain | None:
    """The gain at a batch, in steps that only decode; None for a case that does not speculate."""
    if case.draft is None:
        return None
    measure = _Measure(case)
    limit = int(plain(case.max_num_seqs))
    most = measure.most(limit)
    draft = case.draft
    return SpeculationGain(
        method=draft.method, guesses=draft.guesses, accepted=draft.chances(), source=str(draft.provenance.of("acceptance")),
        tokens_per_step=float(plain(measure.speculation.tokens_per_step)), gain=measure.gain(batch), most_batch=most,
        always_pays=most == limit,
    )  # fmt: skip


class _Measure:
    """The gain of a case at any batch; the clocks are made once."""

    def __init__(self, case: Case) -> None:
        self.case, self.clock, self.speculation = case, StepClock(case), speculation_of(case)
        self.context = decoding_context(case.workload)

    def gain(self, batch: float) -> float:
        """How many times faster tokens come at a batch."""
        alone = decode_step(self.case, batch, self.context, 1.0)
        guessing = decode_step(self.case, batch, self.context, self.speculation.query_tokens)
        seconds = self.speculation.step_seconds(self.clock, guessing)
        return float(plain(speculation_gain(self.clock.seconds(alone), seconds, self.speculation.tokens_per_step)))

    def most(self, limit: int) -> int:
        """The largest batch up to a limit below which it pays: doubled to the first that does not, then halved."""
        low, high = 0, 1
        while high < limit and self.gain(high) > 1:
            low, high = high, min(2 * high, limit)
        if high == limit and self.gain(limit) > 1:
            return limit
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.gain(middle) > 1 else (low, middle)
        return low
