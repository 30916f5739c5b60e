"""Speculative decoding: tokens a verification step yields, and what drafting costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from llmsizer.blocks.operation import Kind
from llmsizer.core.explain import changed, named, plain, total
from llmsizer.core.quantities import Count, Seconds, Tokens
from llmsizer.formulas.serving import verified_tokens
from llmsizer.formulas.speculation import profile_tokens, speculated_tokens
from llmsizer.formulas.steps import seconds_of_layers
from llmsizer.schema.deployment import Case, Draft, Parallel
from llmsizer.sizing.draft import draft_stacks
from llmsizer.sizing.kernels import Kernel, is_nothing
from llmsizer.sizing.rank_kernels import KernelMaker
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step, load_of


@dataclass(frozen=True, slots=True)
class Speculation:
    """How a case speculates: ``query_tokens`` per sequence and step, of which ``tokens_per_step`` stay
    on average; None as ``drafter``: it does not."""

    query_tokens: Tokens = 1.0
    tokens_per_step: Tokens = 1.0
    drafter: Drafter | None = None

    def step_seconds(self, clock: StepClock, step: Step) -> Seconds:
        """Time of a decode step: drafting, then verification of all guesses at once."""
        verify = clock.seconds(step)
        if self.drafter is None:
            return verify
        return total([named(verify, "verification"), named(self.drafter.seconds(step), "drafting")], "step_seconds")


def speculation_of(case: Case) -> Speculation:
    """The speculation of a case; one token a step where there is none."""
    draft = case.draft
    if draft is None:
        return Speculation()
    guessed = draft.num_speculative_tokens
    if draft.profile:
        yielded: Tokens = profile_tokens(sum(plain(each) for each in draft.profile))
    else:
        yielded = speculated_tokens(draft.acceptance, guessed)
    return Speculation(verified_tokens(guessed), yielded, Drafter(case, draft) if draft.method != "ngram" else None)


class Drafter:
    """Times the draft: a model of its own step by step, or modules of the target."""

    def __init__(self, case: Case, draft: Draft) -> None:
        self.case, self.draft = case, draft

    @cached_property
    def clock(self) -> StepClock:
        """The clock of a draft model, undivided on every rank."""
        assert self.draft.model is not None
        assert self.draft.scheme is not None
        case = changed(self.case, model=self.draft.model, scheme=self.draft.scheme, parallel=Parallel(), draft=None)
        return StepClock(case)

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels of the target's own drafting modules, one pass, with the output projection."""
        maker = KernelMaker(self.case)
        return [*self._modules(maker), *(maker.head() if self.draft.method != "medusa" else ())]

    def _modules(self, maker: KernelMaker) -> Iterator[Kernel]:
        for stack in draft_stacks(self.case):
            if stack.group is not None:
                yield from maker.layer(stack, [])
            else:
                for operation in stack.operations:
                    if operation.kind is Kind.LINEAR:
                        yield from maker.linear(operation, None, [])

    def seconds(self, step: Step) -> Seconds:
        """Time of all guesses of a step: one pass each, heads of Medusa all at once."""
        passes: Count = 1 if self.draft.method == "medusa" else self.draft.num_speculative_tokens
        one_token = replace(step, query_tokens=1.0)
        if self.draft.model is not None:
            return seconds_of_layers(self.clock.seconds(one_token), passes)
        load = load_of(one_token, self.case.parallel.data_parallel_size)
        kernels = [kernel.seconds(load) for kernel in self.kernels if not is_nothing(kernel.amount(load))]
        layer = named(self.case.engine.layer_seconds, "small kernels")
        return seconds_of_layers(total([*kernels, layer], "one draft pass"), passes)
