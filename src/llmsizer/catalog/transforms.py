"""Pruned and distilled variants of a model: new models, made from a spec such as ``prune:2:4``.

Unstructured pruning leaves a model's size as it is (dense kernels store the zeros); 2:4 pruning
changes how matrices are stored, structured pruning and distillation change their shapes. What a
variant still answers well is not known here: a transform says what it would take, not how good it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from llmsizer.blocks.attention import Attention, GroupedQuery, Latent
from llmsizer.blocks.feed_forward import Dense, FeedForward, MixtureOfExperts
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination, nearest, shortened
from llmsizer.core.explain import plain
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.model import Checks, LayerGroup, Model
from llmsizer.schema.number_format import NumberFormat, QuantizationScheme

FORMS = "prune:unstructured:0.5, prune:2:4, prune:structured:heads=0.25,ffn=0.25 or distill:width=0.5,depth=0.5"
SPARSE = "prune:2:4"
# The first compute capability with sparse tensor cores (NVIDIA A100 Tensor Core GPU Architecture, 2020).
SPARSE_CAPABILITY = (8, 0)
MOST_SPECS = 8
# Widths of matrices that kernels like; a pruned width keeps the alignment that the full one has.
ALIGNMENTS = (128, 64, 16, 8)


def specs_of(text: str) -> tuple[str, ...]:
    """The single transforms of a text that joins them by ``+``.

    >>> specs_of("prune:2:4 + distill:depth=0.5")
    ('prune:2:4', 'distill:depth=0.5')
    """
    found = tuple(part.strip().lower() for part in text.split("+"))
    if len(found) > MOST_SPECS or not all(found):
        raise InvalidQuestion(f"--transform: cannot read '{shortened(text)}'", f"expected {FORMS}; several joined by +")
    return found


@lru_cache(maxsize=128)
def transformed(model: Model, text: str) -> Model:
    """The variant of a model that a spec describes, with an id that says so and a note.

    Raises InvalidQuestion for a spec that cannot be read, UnsupportedCombination for one that this
    model cannot follow.
    """
    for spec in specs_of(text):
        model = _applied(model, spec)
    return model


def _applied(model: Model, spec: str) -> Model:
    kind, _, rest = spec.partition(":")
    if spec == SPARSE:
        note = "2:4 pruned: half the values and 2 bits a kept value are stored; products are timed as dense ones."
        return _named(model, "2:4", note)
    if kind == "prune" and rest.startswith("unstructured:"):
        share = _share(spec, "unstructured", rest.removeprefix("unstructured:"))
        note = f"{share:.0%} of the values are zero, but stored and multiplied all the same: no effect on memory or speed."
        return _named(model, f"unstructured-{share:g}", note)
    if kind == "prune" and rest.startswith("structured:"):
        return _pruned(model, _shares(spec, rest.removeprefix("structured:"), ("heads", "ffn", "experts", "layers")))
    if kind == "distill":
        return _distilled(model, _shares(spec, rest, ("width", "depth")))
    near = nearest(kind, ("prune", "distill"))
    hint = f"Did you mean: {near[0]}? " if near and near[0] != kind else ""
    raise InvalidQuestion(f"--transform: '{shortened(spec)}' is not known", f"{hint}Expected {FORMS}.")


def _share(spec: str, name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        given = f"{name}: expected a number between 0 and 1, got '{shortened(text)}'"
        raise InvalidQuestion(f"--transform {shortened(spec)}: {given}")
    return share


def _shares(spec: str, text: str, known: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        name = name.strip()
        if not separator or name not in known or name in found:
            near = nearest(name, known)
            hint = f"Did you mean: {near[0]}=…?" if near else f"expected {', '.join(f'{each}=…' for each in known)}"
            raise InvalidQuestion(f"--transform {shortened(spec)}: cannot read '{shortened(part)}'", hint)
        found[name] = _share(spec, name, value)
    return found


def _named(model: Model, suffix: str, note: str, **fields: Any) -> Model:
    notes = " ".join(filter(None, [model.notes, note]))
    return replace(model, id=f"{model.id}+{suffix}", notes=notes, checks=Checks(), **fields)


Change = Callable[[Any], Any]


def _each_block(model: Model, attention: Change, feed_forward: Change) -> dict[str, Any]:
    """The layers (and multi-token-prediction layer) with every block changed."""

    def changed(group: LayerGroup) -> LayerGroup:
        return replace(
            group, attention=attention(group.attention), feed_forward=feed_forward(group.feed_forward),
            cross_attention=attention(group.cross_attention),
        )  # fmt: skip

    fields: dict[str, Any] = {"layers": tuple(changed(group) for group in model.layers)}
    if model.mtp is not None:
        fields["mtp"] = replace(model.mtp, layer=changed(model.mtp.layer))
    return fields


def _pruned(model: Model, shares: Mapping[str, float]) -> Model:
    """Structured pruning: fewer heads, narrower feed-forwards, fewer experts or layers."""
    kept = {name: 1 - share for name, share in shares.items()}
    _check_prunable(model, kept)
    blocks = _each_block(
        model,
        lambda block: _with_heads(block, kept["heads"]) if "heads" in kept else block,
        lambda block: _narrower(block, kept.get("ffn", 1.0), kept.get("experts", 1.0)),
    )
    pruned = replace(model, **blocks)
    if "layers" in kept:
        pruned = replace(pruned, **_shallower(pruned, kept["layers"]))
    said = ",".join(f"{name}={share:g}" for name, share in shares.items())
    removed = ", ".join(f"{share:.0%} of the {_WORDS[name]}" for name, share in shares.items())
    return _named(pruned, f"pruned({said})", f"Structured pruning: without {removed}.", **_unpublished(pruned))


_WORDS = {"heads": "attention heads", "ffn": "feed-forward width", "experts": "routed experts", "layers": "layers"}


def _check_prunable(model: Model, kept: Mapping[str, float]) -> None:
    has = {
        "heads": any(isinstance(group.attention, (GroupedQuery, Latent)) for group in model.layers),
        "ffn": any(group.feed_forward is not None for group in model.layers),
        "experts": any(isinstance(group.feed_forward, MixtureOfExperts) for group in model.layers),
    }
    for name, there in has.items():
        if name in kept and not there:
            raise UnsupportedCombination(f"--transform: {model.id} has no {_WORDS[name]} to prune")


def _with_heads(block: Attention | None, keep: float) -> Attention | None:
    """Attention with a share of its heads: whole key/value groups where that is possible, else as
    many query heads out of each group."""
    if isinstance(block, Latent):
        return replace(block, num_attention_heads=_whole(block.num_attention_heads, keep, "attention heads"))
    if not isinstance(block, GroupedQuery):
        return block
    groups, heads = int(plain(block.num_key_value_heads)), int(plain(block.num_attention_heads))
    kept = _whole(heads, keep, "attention heads")
    if _is_whole(groups * keep):
        return replace(block, num_attention_heads=kept, num_key_value_heads=round(groups * keep))
    if kept % groups:
        whole_groups = {1 - count / groups for count in range(1, groups)}
        possible = sorted(whole_groups | {1 - count * groups / heads for count in range(1, heads // groups)})
        raise UnsupportedCombination(
            f"--transform: {1 - keep:g} of {heads} attention heads in {groups} key/value groups leaves unequal groups",
            f"possible: {', '.join(f'{share:.4g}' for share in possible[:12])}" if possible else "this model has one head",
        )
    return replace(block, num_attention_heads=kept)


def _is_whole(number: float) -> bool:
    return round(number) >= 1 and abs(number - round(number)) < 1e-9


def _whole(count: Any, keep: float, what: str) -> int:
    number = int(plain(count)) * keep
    if not _is_whole(number):
        raise UnsupportedCombination(
            f"--transform: {keep:g} of {int(plain(count))} {what} is {number:g}, not a whole number",
            f"shares that fit are multiples of 1/{int(plain(count))}",
        )
    return round(number)


def _narrow(width: Any, keep: float) -> int:
    """A width times a share, at the alignment that the width itself has."""
    full = int(plain(width))
    step = next((each for each in ALIGNMENTS if full % each == 0), 1)
    return max(step, round(full * keep / step) * step)


def _narrower(block: FeedForward | None, keep: float, experts: float = 1.0) -> FeedForward | None:
    """A feed-forward block of less width, and with fewer experts."""
    if isinstance(block, Dense):
        return replace(block, intermediate_size=_narrow(block.intermediate_size, keep))
    if not isinstance(block, MixtureOfExperts):
        return block
    count = _whole(block.num_experts, experts, "experts")
    if count < plain(block.num_experts_per_tok):
        raise UnsupportedCombination(
            f"--transform: {count} experts are fewer than the {int(plain(block.num_experts_per_tok))} each token takes"
        )
    shared, inner = block.shared_intermediate_size, block.dense
    return replace(
        block, num_experts=count, moe_intermediate_size=_narrow(block.moe_intermediate_size, keep),
        shared_intermediate_size=_narrow(shared, keep) if shared is not None else None,
        dense=replace(inner, intermediate_size=_narrow(inner.intermediate_size, keep)) if inner is not None else None,
    )  # fmt: skip


def _distilled(model: Model, shares: Mapping[str, float]) -> Model:
    """A student: narrower (hidden size, heads and feed-forward alike) or of fewer layers."""
    student = model
    if "width" in shares:
        student = replace(student, **_scaled(student, shares["width"]))
    if "depth" in shares:
        student = replace(student, **_shallower(student, shares["depth"]))
    said = ",".join(f"{name}={share:g}" for name, share in shares.items())
    note = f"Distilled: a student of {', '.join(f'{share:g} of the {name}' for name, share in shares.items())}."
    return _named(student, f"distilled({said})", note, **_unpublished(student))


def _scaled(model: Model, width: float) -> dict[str, Any]:
    if model.towers or model.extra or any(group.extra for group in model.layers):
        raise UnsupportedCombination(
            f"--transform distill:width: {model.id} has parts of fixed width beside its layers", "distill:depth=… works"
        )
    hidden = _whole(model.hidden_size, width, "hidden units")
    blocks = _each_block(model, lambda block: _fewer(block, width), lambda block: _narrower(block, width))
    return blocks | {"hidden_size": hidden}


# What holds a mixer's width, besides the hidden size; all scale alike.
_MIXER_WIDTHS = {
    "mamba1": ("intermediate_size", "time_step_rank"), "mamba2": ("num_heads",), "kimi_delta": ("num_heads",),
    "gated_delta_net": ("linear_num_key_heads", "linear_num_value_heads"), "lightning": ("num_attention_heads",),
}  # fmt: skip


def _fewer(block: Attention | None, width: float) -> Attention | None:
    if block is None or isinstance(block, (GroupedQuery, Latent)):
        return _with_heads(block, width)
    fields: dict[str, Any] = {name: _whole(getattr(block, name), width, name) for name in _MIXER_WIDTHS[block.kind]}
    return replace(block, **fields)


def _shallower(model: Model, depth: float) -> dict[str, Any]:
    """The layers that stay, evenly spread over the stack."""
    count = model.num_hidden_layers
    kept = round(count * depth)
    if not 0 < kept < count:
        raise UnsupportedCombination(
            f"--transform: {depth:g} of {count} layers leaves {kept}", f"expected 1 to {count - 1} layers"
        )
    places = {int((place + 0.5) * count / kept): place for place in range(kept)}
    groups = []
    for group in model.layers:
        indices = frozenset(places[layer] for layer in group.indices if layer in places)
        if indices:
            groups.append(replace(group, count=len(indices), indices=indices))
    return {"layers": tuple(groups), "num_hidden_layers": kept}


def _unpublished(model: Model) -> dict[str, Any]:
    """A variant is no published checkpoint: it is stored in its own 16- or 32-bit type."""
    return {"native_quantization": model.torch_dtype, "tied_head_stored": False}


def check_sparse(text: str, accelerator: Accelerator) -> None:
    """Raises UnsupportedCombination for a 2:4 transform on a device that has no units for such matrices."""
    capability = accelerator.capability()
    if SPARSE in specs_of(text) and (capability is None or capability < SPARSE_CAPABILITY):
        raise UnsupportedCombination(
            f"--transform {SPARSE}: no kernels of 2:4 matrices are known for {accelerator.name}",
            "prune:unstructured:0.5 answers for the same zeros stored dense",
        )


@lru_cache(maxsize=128)
def sparse_scheme(scheme: QuantizationScheme, text: str, native: NumberFormat) -> QuantizationScheme:
    """The scheme with its matrices stored 2:4 where the text asks for it: half the values, and two
    bits of place for each kept one (NVIDIA's and compressed-tensors' layout)."""
    if SPARSE not in specs_of(text):
        return scheme
    if scheme.is_gguf:
        raise UnsupportedCombination(f"--transform {SPARSE}: GGUF stores no sparse matrices", "use another --quantization")
    if scheme.roles.get("expert", scheme.linear) != scheme.linear:
        raise UnsupportedCombination(f"--transform {SPARSE}: {scheme.id} stores experts in a format of their own")
    formats = dict(scheme.formats)
    for name in {scheme.linear, scheme.dense_linear or scheme.linear}:
        stored = native if name == "native" else formats[name]
        if plain(stored.bits) < 4:
            raise UnsupportedCombination(f"--transform {SPARSE}: no kernels store {stored.id} sparse")
        sparse = replace(stored, id=f"{stored.id}-2:4", bits=plain(stored.bits) / 2 + 1)
        formats[sparse.id] = sparse
    chosen = {name: f"{native.id if name == 'native' else name}-2:4" for name in (scheme.linear, scheme.dense_linear) if name}
    dense = chosen[scheme.dense_linear] if scheme.dense_linear else None
    return replace(scheme, id=f"{scheme.id}-2:4", linear=chosen[scheme.linear], dense_linear=dense, formats=formats)
