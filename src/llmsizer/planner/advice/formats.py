"""Techniques that store weights, cache or model otherwise."""

from __future__ import annotations

from dataclasses import replace

from llmsizer.blocks.attention import GroupedQuery
from llmsizer.core.explain import plain
from llmsizer.planner.advice.asked import ON, Asked, Change, Tried, flag_of, is_one_of, technique, tries
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import total_parameters

# Models this near in size count as variants of one another.
ALIKE = 0.25


def _weights(asked: Asked) -> Tried:
    scheme = asked.case.scheme.id
    return tries(asked, f"{ON}: the weights are {scheme}" if is_one_of(scheme, asked.technique.formats) else "")


def _cache(asked: Asked) -> Tried:
    stored = asked.case.cache_format.id
    if not asked.estimate.memory.kv_bytes_per_further_token:
        return "the model keeps no cache that grows with the tokens"
    return tries(asked, f"{ON}: the cache is {stored}" if is_one_of(stored, asked.technique.formats) else "")


@technique
def fp8_weights(asked: Asked) -> Tried:
    """Weights in 8-bit floating point."""
    return _weights(asked)


@technique
def int8_weights(asked: Asked) -> Tried:
    """Weights in 8-bit integers."""
    return _weights(asked)


@technique
def int4_weights(asked: Asked) -> Tried:
    """Weights in 4 bits."""
    return _weights(asked)


@technique
def fp8_cache(asked: Asked) -> Tried:
    """Keys and values in 8-bit floating point."""
    return _cache(asked)


@technique
def int8_cache(asked: Asked) -> Tried:
    """Keys and values in 8-bit integers."""
    return _cache(asked)


@technique
def grouped_query(asked: Asked) -> Tried:
    """A model of the same publisher and size whose query heads share keys and values."""
    model = asked.case.model
    full = _full_attention(model)
    if full is None:
        return f"{ON}: no layer keeps keys and values for every query head"
    found = sorted(_variants(asked), key=lambda pair: pair[0])
    if not found:
        return f"the catalog has no model of {_publisher(model)} of about this size with fewer key/value heads"
    return [
        Change(replace(asked.words, model=name), f"-m {name}", note="another model, not this one changed") for _, name in found
    ]


def _full_attention(model: Model) -> GroupedQuery | None:
    kinds = [group.attention for group in model.layers]
    grouped = [each for each in kinds if isinstance(each, GroupedQuery)]
    full = [each for each in grouped if each.num_key_value_heads == each.num_attention_heads and each.num_attention_heads > 1]
    return full[0] if full else None


def _publisher(model: Model) -> str:
    return model.id.split("/")[0]


def _variants(asked: Asked) -> list[tuple[float, str]]:
    """Models of the publisher that are alike in size, with how far they are from it."""
    model, catalog = asked.case.model, asked.catalog
    size = float(plain(total_parameters(model)))
    found = []
    for name in catalog.names("models"):
        if name.split("/")[0] == _publisher(model) and name != model.id:
            other = catalog.model(name)
            distance = abs(float(plain(total_parameters(other))) / size - 1)
            if distance <= ALIKE and _full_attention(other) is None:
                found.append((distance, name))
    return found


@technique
def sparse_pruning(asked: Asked) -> Tried:
    """Two of four weights dropped, in a pattern that tensor cores skip."""
    return _transform(asked)


@technique
def structured_pruning(asked: Asked) -> Tried:
    """Whole heads and feed-forward columns dropped."""
    return _transform(asked)


@technique
def distillation(asked: Asked) -> Tried:
    """A smaller model taught by this one."""
    return _transform(asked)


def _transform(asked: Asked) -> Tried:
    """The variant in the format that the model is stored in now."""
    given, stored = asked.words.transform, asked.words.quantization or asked.case.scheme.id
    specs = [f"{given}+{each}" if given else each for each in asked.technique.tries["transform"]]
    return [Change(replace(asked.words, transform=spec, quantization=stored), flag_of("transform", spec)) for spec in specs]


@technique
def offload(asked: Asked) -> Tried:
    """Part of the weights left in host memory and fetched in every step."""
    if asked.words.offload:
        return f"{ON}: {flag_of('offload', asked.words.offload)}"
    known = asked.case.engine.offload
    if "weights" in known:
        return tries(asked)
    if "gpu_layers" in known:
        share = asked.technique.tries["offload"][0]["weights"]
        kept = {"gpu_layers": round(int(plain(asked.case.model.num_hidden_layers)) * (1 - share))}
        return [Change(replace(asked.words, offload=kept), flag_of("offload", kept))]
    return f"{asked.case.engine.title} keeps all weights on the device"
