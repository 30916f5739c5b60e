"""What speculative decoding adds to the target: a draft model, or modules of the target itself."""

from __future__ import annotations

from dataclasses import replace

from llmsizer.blocks.operation import CacheShape, Kind, Operation, Role, Weight
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, Count
from llmsizer.formulas.parameters import repeated_width
from llmsizer.formulas.storage import bytes_of_copies
from llmsizer.schema.deployment import Case, Draft
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import Stack, lower
from llmsizer.sizing.weights import WeightSizer, checkpoint_bytes, sizer_of

# Hidden states of the target that an EAGLE layer reads at once.
EAGLE_STATES = {"eagle": 2, "eagle3": 3}


def draft_stacks(case: Case) -> tuple[Stack, ...]:
    """The modules of the target that draft: its multi-token-prediction layers, an EAGLE layer or
    Medusa heads. Empty for a draft model of its own and for n-gram look-up."""
    draft = case.draft
    if draft is None or draft.model is not None:
        return ()
    if draft.method == "mtp":
        return lower(case.model).mtp
    if draft.method in EAGLE_STATES:
        return _eagle(case, EAGLE_STATES[draft.method])
    return _medusa(case, draft) if draft.method == "medusa" else ()


def first_layers(model: Model, count: int) -> Model:
    """A model cut after so many layers, as one that drafts for itself is."""
    first = frozenset(range(count))
    kept = [replace(group, indices=group.indices & first, count=len(group.indices & first)) for group in model.layers]
    return replace(model, layers=tuple(group for group in kept if group.indices), num_hidden_layers=count, mtp=None)


def _eagle(case: Case, states: Count) -> tuple[Stack, ...]:
    """One more layer like the target's last, behind a projection of some hidden states (Li et al. 2024, 2025)."""
    last = lower(case.model).layers[-1]
    hidden = case.model.hidden_size
    projection = Weight("fc", Role.MTP, repeated_width(hidden, states), hidden)
    layer = Stack("eagle layer", 1, frozenset(), last.operations, last.caches, last.group)
    return layer, Stack("eagle projection", 1, frozenset(), (Operation("fc", Kind.LINEAR, (projection,)),))


def _medusa(case: Case, draft: Draft) -> tuple[Stack, ...]:
    """A residual block and a head over the vocabulary for each guessed token (Cai et al. 2024)."""
    hidden = case.model.hidden_size
    block = Weight("residual", Role.MTP, hidden, hidden, bias=hidden)
    head = Weight("medusa_head", Role.MTP, hidden, case.model.vocab_size)
    heads = Operation("heads", Kind.LINEAR, (block, head))
    return (Stack("medusa heads", draft.num_speculative_tokens, frozenset(), (heads,)),)


def draft_caches(case: Case) -> list[tuple[CacheShape, Count, str]]:
    """Cache shapes the draft adds on the last stage, with the number of layers of each."""
    draft = case.draft
    if draft is None or not draft.brings_weights:
        return []
    stacks = lower(draft.model).layers if draft.model is not None else draft_stacks(case)
    return [(shape, stack.count, f"draft {stack.name}") for stack in stacks for shape in stack.caches]


def draft_weight_bytes(case: Case) -> Bytes:
    """Weights of the draft on a device of the last stage. A draft model is held whole by every rank,
    as engines do unless told otherwise; modules of the target are divided like it."""
    draft = case.draft
    if draft is None or not draft.brings_weights:
        return 0.0
    if draft.model is not None:
        return checkpoint_bytes(draft.model, draft.scheme if draft.scheme is not None else case.scheme, case.native)
    sizer: WeightSizer = sizer_of(case)
    return total([_module(sizer, stack) for stack in draft_stacks(case)], "draft_weight_bytes")


def _module(sizer: WeightSizer, stack: Stack) -> Bytes:
    one = sizer.stack(stack, [], 1)
    return named(one if plain(stack.count) == 1 else bytes_of_copies(one, stack.count), stack.name)
