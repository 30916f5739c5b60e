"""What a request meets that comes among others: the steps they make, and how it decodes beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llmsizer.core.quantities import Count, Fraction, Seconds
from llmsizer.formulas.prompts import prompt_seconds_each
from llmsizer.formulas.serving import batch_seen, prefill_passes, prefill_share, prompts_of_tokens, prompts_per_step
from llmsizer.sizing.prompts_first import Turns
from llmsizer.sizing.steps import Step, decode_step

if TYPE_CHECKING:
    from llmsizer.sizing.serving import Serving


@dataclass(frozen=True, slots=True)
class Carried:
    """A step that carries so many prompts, its time, what passes of it in further pipeline stages, and what ``each``
    prompt adds: all of its time where prompts have steps of their own."""

    step: Step
    seconds: Seconds
    fill_seconds: Seconds
    prompts: Count
    each: Seconds


class Company:
    """What follows from the number of ``others`` alone, and is kept while the rate is sought at which so many are met:
    the decode step, the room that it leaves for prompts, and the step that carries them."""

    def __init__(self, serving: Serving, others: Count) -> None:
        self.serving, self.others = serving, others
        self.batch = batch_seen(others)
        self.pure = decode_step(serving.case, self.batch, serving.context, serving.speculation.query_tokens)
        self.pure_seconds = serving.speculation.step_seconds(serving.clock, self.pure)
        self.decoding = others if serving.in_flight else 0.0
        self.budget = serving.budget(self.decoding)
        self.width = prompts_of_tokens(self.budget, serving.prompt)
        self.passes = prefill_passes(serving.prompt, self.budget)
        self.entering = prompts_per_step(others, serving.steps)
        self.share = prefill_share(self.entering, serving.prompt, self.budget)

    @cached_property
    def carried(self) -> Carried:
        """The step that carries the prompts of those who follow the others."""
        return self.carrying(self.serving.prompt_step(self.decoding, self.budget, self.entering, self.share))

    def carrying(self, step: Step) -> Carried:
        """What a step with prompts takes beside this company."""
        seconds, fill = self.serving.clock.timed(step)
        prompts = prompts_of_tokens(step.prefill_tokens, self.serving.prompt)
        each = prompt_seconds_each(seconds, self.pure_seconds if self.serving.in_flight else 0.0, prompts)
        return Carried(step, seconds, fill, prompts, each)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a request meets that comes among others: the prompts' share of the time and their number per step, what
    each adds to it, and how long the step is into which it comes."""

    each: Seconds
    share: Fraction
    entering: Count
    met: Seconds
    busy: Fraction
    turns: Turns | None = None


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a request decodes in company, which is all that feeds back on how many decode: in ``seconds`` by steps of
    ``step_seconds``, and ``trail`` more for the prompts that came while its own was read.

    Its own prompt waits ``queue`` for others that fill the steps (a load of ``prefill_load``), and ends in a step of
    ``own`` seconds with ``beside`` further prompts.
    """

    company: Company
    carried: Carried
    meeting: Meeting
    step_seconds: Seconds
    prefill_load: Fraction
    beside: Count
    own: Seconds
    queue: Seconds
    trail: Seconds
    seconds: Seconds
