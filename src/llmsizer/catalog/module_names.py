"""Which weights of a model the patterns of a quantization_config mean.

A pattern is a module's name (the name of a part of it, or of what holds it, will do), a wildcard
pattern, or, after ``re:``, a regular expression that the name begins with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.blocks.operation import Role, Weight
from llmsizer.catalog.model_weights import layer_weights, outer_weights
from llmsizer.catalog.package_data import package_data
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model

Place = tuple[str, int | None]

_IN_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})(?:\.|$)")
_LITERAL_LAYER = re.compile(r"(?:layers|h|blocks)\\?\.(\d{1,5})\\?\.")
_NUMBER = re.compile(r"(?:layers|h|blocks)\\?\.(\d{1,5})")
_TENSOR = re.compile(r"\.(weight|scales|biases)$")


@dataclass(frozen=True, slots=True)
class Module:
    """A weight at its place, and the names its module may have within its layer (or outside all)."""

    weight: Weight
    layer: int | None
    names: tuple[str, ...]
    routed: bool = False

    @property
    def place(self) -> Place:
        """The weight's name and layer."""
        return self.weight.name, self.layer


def modules(model: Model, is_mlx: bool = False) -> Iterator[Module]:
    """Every matrix of a model that a checkpoint stores as a module, by the names of transformers or of MLX."""
    for weight in outer_weights(model).values():
        if names := _module_names(weight, "", is_mlx):
            yield Module(weight, None, names)
    for group in model.layers:
        routed = isinstance(group.feed_forward, MixtureOfExperts)
        kind = group.attention.kind if group.attention is not None else ""
        for weight in layer_weights(group, model).values():
            if names := _module_names(weight, kind, is_mlx):
                yield from (Module(weight, layer, names, routed) for layer in sorted(group.indices))


def _module_names(weight: Weight, attention: str, is_mlx: bool) -> tuple[str, ...]:
    if weight.role is Role.NORM or plain(weight.in_features) <= 1:
        return ()
    return _names(weight.name, attention if weight.role is Role.MIXER else weight.role.name.lower(), is_mlx)


@lru_cache(maxsize=512)
def _names(name: str, block_of: str, is_mlx: bool) -> tuple[str, ...]:
    table = package_data("module_names.yaml")
    given = table["outer"].get(name) or table["whole"].get(name)
    if given is not None:
        return tuple(given)
    last = name.rpartition(".")[2]
    blocks = (table["mlx"] if is_mlx and block_of in table["mlx"] else table["blocks"]).get(block_of, ())
    return tuple(f"{block}.{matrix}" for block in blocks for matrix in table["matrices"].get(last, (last,)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, taken apart: a name within a layer (None: within any), or an expression for whole names."""

    text: str
    layer: int | None = None
    name: str = ""
    expression: re.Pattern[str] | None = None

    def means(self, module: Module) -> bool:
        """Whether the pattern names the module, a part of it or what holds it."""
        if self.layer is not None and self.layer != module.layer:
            return False
        if self.expression is not None:
            return any(self.expression.match(name) for name in whole_names(module))
        return not self.name or any(_within(self.name, name) for name in module.names)


def pattern_of(text: str) -> Pattern:
    """The pattern that a text of a quantization_config stands for; re.error for a broken expression."""
    if text.startswith("re:"):
        return Pattern(text, _only_layer(text), expression=re.compile(text[3:]))
    name = _TENSOR.sub("", text)
    if any(letter in name for letter in "*?["):
        whole = translate(name).removesuffix(r"\Z").removesuffix(r"\z") + r"(?:\..*)?\Z"
        return Pattern(text, _only_layer(text), expression=re.compile(whole))
    found = _IN_LAYER.search(name)
    if found is None:
        return Pattern(text, name=name)
    return Pattern(text, layer=int(found[1]), name=name[found.end() :])


def _only_layer(text: str) -> int | None:
    """The layer that an expression names outright; None where it may name several."""
    found = _LITERAL_LAYER.findall(text)
    return int(found[0]) if len(found) == 1 and "|" not in text else None


def whole_names(module: Module) -> Iterable[str]:
    """The whole names a module may have in a checkpoint."""
    if module.layer is None:
        return module.names
    prefixes = package_data("module_names.yaml")["layers"]
    return (f"{prefix}.{module.layer}.{name}" for prefix in prefixes for name in module.names)


@lru_cache(maxsize=8192)
def _within(part: str, name: str) -> bool:
    """Whether a dotted name is a run of whole words of another."""
    return f".{part}." in f".{name}."


def is_unquantized(text: str, layers: int) -> bool:
    """Whether a pattern speaks of modules that no scheme quantizes here, such as those beyond the last layer."""
    beyond = any(int(number) >= layers for number in _NUMBER.findall(text))
    return beyond or any(word in text for word in package_data("module_names.yaml")["unquantized"])
