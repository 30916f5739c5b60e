"""What a quantization_config says of single modules: those it leaves alone, and those it stores otherwise."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.blocks.operation import Role, Weight
from llmsizer.catalog.config_reader import Config
from llmsizer.catalog.formats import quantization_scheme
from llmsizer.catalog.module_names import Module, Pattern, Place, is_unquantized, modules, pattern_of
from llmsizer.catalog.quantization_config import (
    compressed_scheme,
    grouped_scheme,
    mlx_format,
    modelopt_scheme,
    quantization_method,
)
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import NATIVE, QuantizationScheme

# Lists of modules that stay as they are, by the name that one tool or another gives them.
SKIPPED = ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules", "llm_int8_skip_modules")
# Bounds that no checkpoint comes near; beyond them, or with repetitions of repetitions, a file would only waste time.
MOST_EXCEPTIONS, MOST_EXPRESSIONS = 100_000, 1000
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)[*+{]")
# Stands for every matrix: compressed-tensors names classes of modules, such as Linear.
EVERY_MATRIX = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of module names and the format id of what it names; of several, the last one holds."""

    pattern: Pattern
    format: str


def stored_formats(model: Model, config: Config) -> tuple[dict[Place, str], tuple[str, ...]]:
    """The format ids of the weights that a checkpoint stores otherwise than its scheme does, and notes.

    Raises CatalogError for an exception that cannot be read.
    """
    found = quantization_method(config)
    if found is None:
        return {}, ()
    method, quantization = found
    rules = [_rule(quantization, *each) for each in _exceptions(method, quantization)]
    if not rules:
        return {}, ()
    expressions = sum(rule.pattern.expression is not None and rule.pattern.layer is None for rule in rules)
    if expressions > MOST_EXPRESSIONS:
        raise quantization.error("ignore", f"expected at most {MOST_EXPRESSIONS:,} patterns, got {expressions:,} expressions")
    scheme = quantization_scheme(model.native_quantization)
    formats, unmatched = _formats(model, scheme, rules, method == "mlx")
    texts, layers = [rule.pattern.text for rule in unmatched], int(plain(model.num_hidden_layers))
    names = [text for text in texts if not is_unquantized(text, layers)]
    some = ", ".join(f"'{name[:60]}'" for name in names[:3])
    return formats, ((f"{len(names)} names in its quantization_config fit no known module, such as {some}",) if names else ())


def _formats(model: Model, scheme: QuantizationScheme, rules: list[Rule], is_mlx: bool) -> tuple[dict[Place, str], list[Rule]]:
    """The formats that differ from the scheme's, and the rules that fit nothing."""
    by_layer: dict[int | None, list[tuple[int, Rule]]] = defaultdict(list)
    for order, rule in enumerate(rules):
        by_layer[rule.pattern.layer].append((order, rule))
    formats: dict[Place, str] = {}
    fitted: set[int] = set()
    for module in modules(model, is_mlx):
        near = by_layer[None] + (by_layer.get(module.layer, []) if module.layer is not None else [])
        fitting = [(order, rule) for order, rule in near if _fits(rule, module)]
        fitted |= {order for order, _ in fitting}
        if fitting:
            chosen = max(fitting, key=lambda each: each[0])[1].format
            if chosen != scheme.by_role(module.weight, module.routed):
                formats[module.place] = chosen
    return formats, [rule for order, rule in enumerate(rules) if order not in fitted]


def _fits(rule: Rule, module: Module) -> bool:
    if rule.pattern.text == EVERY_MATRIX:
        return module.weight.quantizable and module.weight.role is not Role.EMBEDDING
    return _is_matrix(module.weight) and rule.pattern.means(module)


def _is_matrix(weight: Weight) -> bool:
    return plain(weight.in_features) > 1 and plain(weight.out_features) >= 1


def _rule(config: Config, key: str, text: str, format_: str) -> Rule:
    if text.startswith("re:") and _NESTED.search(text):
        raise config.error(key, f"'{text[:60]}' nests repetitions", "Expected a plain regular expression of names.")
    try:
        return Rule(pattern_of(text), format_)
    except re.error as error:
        raise config.error(key, f"'{text[:60]}' is no regular expression: {error}") from None


def _exceptions(method: str, config: Config) -> Iterator[tuple[str, str, str]]:
    """Key, pattern and format of every exception, in the order in which they hold."""
    inner = config.mapping("quantization") or config
    reader = _READERS.get(method)
    if reader is not None:
        yield from reader(inner)
    for part in (config, inner) if inner is not config else (config,):
        for key in SKIPPED:
            for name in _names(part, key):
                yield key, name, NATIVE


def _names(config: Config, key: str) -> Iterable[str]:
    """A list of names; too long a list is no list of modules."""
    found = config.data.get(key)
    if found is None:
        return ()
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise config.error(key, "expected a list of names")
    if len(found) > MOST_EXCEPTIONS:
        raise config.error(key, f"expected at most {MOST_EXCEPTIONS:,} names, got {len(found):,}")
    return [name for name in found if name]


def _matrix_format(scheme_id: str) -> str:
    """The format id in which a scheme stores its matrices."""
    scheme = quantization_scheme(scheme_id)
    return scheme.linear if scheme.linear != NATIVE else scheme.roles.get("expert", NATIVE)


def _compressed(config: Config) -> Iterator[tuple[str, str, str]]:
    groups = config.mapping("config_groups")
    for name in groups.data if groups is not None else ():
        group = groups.mapping(name) if groups is not None else None
        if group is None:
            continue
        stored = _matrix_format(compressed_scheme(group))
        for target in _names(group, "targets"):
            is_class = target.isidentifier() and target[:1].isupper()
            yield "config_groups", EVERY_MATRIX if is_class else target, stored


def _mlx(config: Config) -> Iterator[tuple[str, str, str]]:
    for name, said in config.data.items():
        if said is False:
            yield name, name, NATIVE
        elif isinstance(said, Mapping) and "bits" in said:
            own: dict[str, Any] = {"group_size": config.data.get("group_size"), **said}
            yield name, name, mlx_format(Config(own, f"{config.where}: {name[:80]}"))


def _modelopt(config: Config) -> Iterator[tuple[str, str, str]]:
    layers = config.mapping("quantized_layers")
    if layers is not None:
        yield "quantized_layers", EVERY_MATRIX, NATIVE
    for name in layers.data if layers is not None else ():
        said = layers.mapping(name) if layers is not None else None
        if said is not None:
            yield "quantized_layers", name, _matrix_format(modelopt_scheme(said))


def _gptq(config: Config) -> Iterator[tuple[str, str, str]]:
    """GPTQModel's ``dynamic``: ``-:`` leaves alone what an expression names, ``+:`` changes its shape."""
    dynamic = config.mapping("dynamic")
    for name, said in dynamic.data.items() if dynamic is not None else ():
        sign, _, expression = name.partition(":") if name[:2] in {"+:", "-:"} else ("+", "", name)
        if sign == "-":
            yield "dynamic", f"re:{expression}", NATIVE
        elif isinstance(said, Mapping) and said:
            own = {**{key: config.data.get(key) for key in ("bits", "group_size")}, **said}
            yield "dynamic", f"re:{expression}", _matrix_format(grouped_scheme("gptq")(Config(own, config.where)))


_READERS: dict[str, Callable[[Config], Iterator[tuple[str, str, str]]]] = {
    "compressed-tensors": _compressed, "mlx": _mlx, "modelopt": _modelopt, "gptq": _gptq,
}  # fmt: skip
