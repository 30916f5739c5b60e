"""Speculative decoding: tokens a verification step yields, and what drafting costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from llmsizer.blocks.operation import Kind
from llmsizer.core.explain import changed, named, total
from llmsizer.core.quantities import Count, Seconds, Tokens
from llmsizer.formulas.serving import verified_tokens
from llmsizer.formulas.speculation import branching_tokens, profile_tokens, speculated_tokens
from llmsizer.formulas.steps import seconds_of_layers
from llmsizer.schema.deployment import Case, Draft, Parallel
from llmsizer.sizing.draft import draft_stacks
from llmsizer.sizing.kernels import Kernel, is_nothing
from llmsizer.sizing.rank_kernels import KernelMaker
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step, case_load

# As often as a double can be halved before its parts are no longer told apart.
HALVINGS = 53


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
    drafter = Drafter(case, draft) if draft.method != "ngram" else None
    return Speculation(verified_tokens(draft.guesses), yielded_tokens(draft), drafter)


def yielded_tokens(draft: Draft) -> Tokens:
    """Tokens that a verification step yields on average."""
    if draft.profile:
        return profile_tokens(total(list(draft.profile), "accepted"))
    assert draft.acceptance is not None
    return speculated_tokens(draft.acceptance, draft.num_speculative_tokens)


def acceptance_of_length(length: float, guesses: int) -> float:
    """The chance that a guess stands with which a step of so many guesses yields ``length`` tokens on average.

    >>> round(acceptance_of_length(2.952, 3), 3)
    0.8
    """
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if speculated_tokens(middle, guesses) < length else (low, middle)
    return high


class Drafter:
    """Times the draft: a model of its own step by step, or modules of the target."""

    def __init__(self, case: Case, draft: Draft) -> None:
        self.case, self.draft = case, draft

    @cached_property
    def clock(self) -> StepClock:
        """The clock of a draft model, undivided on every rank; the target's own first layers are divided like it."""
        assert self.draft.model is not None
        assert self.draft.scheme is not None
        split = Parallel() if self.draft.brings_weights else self.case.parallel
        case = changed(self.case, model=self.draft.model, scheme=self.draft.scheme, parallel=split, draft=None)
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

    def _width(self) -> Tokens:
        """Tokens of a sequence in one drafting pass: several where guesses branch."""
        draft = self.draft
        return 1.0 if draft.tree is None else branching_tokens(draft.tree, draft.num_speculative_tokens)

    def seconds(self, step: Step) -> Seconds:
        """Time of all guesses of a step: one pass a place of the chain, heads of Medusa all at once."""
        passes: Count = 1 if self.draft.method == "medusa" else self.draft.num_speculative_tokens
        one_token = replace(step, query_tokens=self._width())
        if self.draft.model is not None:
            return seconds_of_layers(self.clock.seconds(one_token), passes)
        load = case_load(self.case, one_token)
        kernels = [kernel.seconds(load) for kernel in self.kernels if not is_nothing(kernel.amount(load))]
        layer = named(self.case.engine.layer_seconds, "small kernels")
        return seconds_of_layers(total([*kernels, layer], "one draft pass"), passes)
