"""Which GGUF type each weight of a model is stored in, tensor by tensor.

The file's tensors are matched with the weights that the model's blocks have. A weight whose tensors
do not agree with the metadata is refused; tensors that no weight answers to are kept as further
weights, so that a model's bytes are the file's bytes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from llmsizer.blocks.operation import Role, Weight
from llmsizer.catalog.formats import number_formats
from llmsizer.catalog.gguf_files import GgufFile, GgufTensor
from llmsizer.catalog.model_weights import layer_weights, outer_weights
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import CatalogError
from llmsizer.core.explain import Provenance, Source, plain
from llmsizer.schema.model import LayerGroup, Model
from llmsizer.schema.number_format import NumberFormat, QuantizationScheme

TABLE = "gguf_architectures.yaml"
VECTOR = "F32"
_NAME = re.compile(r"^(?:blk\.(\d{1,5})\.)?(.+?)(\.weight|\.bias)?$")

Place = tuple[str, int | None]


def file_scheme(model: Model, file: GgufFile, name: str) -> tuple[QuantizationScheme, tuple[Weight, ...], list[str]]:
    """The scheme that stores each weight as the file does, further weights for tensors the model does
    not know, and notes on them. Raises CatalogError where file and metadata disagree."""
    formats: dict[str, NumberFormat] = dict(number_formats())
    places: dict[Place, str] = {}
    unknown: list[GgufTensor] = []
    layers = {layer: group for group in model.layers for layer in group.indices}
    for layer, tensors in _by_layer(file.tensors).items():
        if layer is not None and layer not in layers:
            unknown += tensors
            continue
        weights = outer_weights(model) if layer is None else layer_weights(layers[layer], model)
        matched, rest = _matched(weights, tensors, layer is None)
        unknown += rest
        for names, held in matched.items():
            chosen = _format(names, [weights[each] for each in names], held, file.path, layer, formats)
            places |= dict.fromkeys(((each, layer) for each in names), chosen)
    _check_complete(model, layers, places, file.path)
    extra, notes = _further(unknown, places, formats)
    scheme = QuantizationScheme(
        id=name, linear=_most_common(file), roles={}, formats=formats, is_gguf=True,
        output=places.get(("lm_head", None), VECTOR),
        embedding=places.get(("embed_tokens", None), VECTOR), vector=VECTOR, tensors=places,
        provenance=Provenance(Source(str(file.path), tier="specified")),
    )  # fmt: skip
    return scheme, extra, notes


def _by_layer(tensors: Iterable[GgufTensor]) -> dict[int | None, list[GgufTensor]]:
    found: dict[int | None, list[GgufTensor]] = defaultdict(list)
    for tensor in tensors:
        layer = _split(tensor)[0]
        found[layer].append(tensor)
    return found


def _split(tensor: GgufTensor) -> tuple[int | None, str, bool]:
    """A tensor's layer, its name within it, and whether it is a bias."""
    parts = _NAME.match(tensor.name)
    if parts is None:
        return None, tensor.name, False
    return (int(parts[1]) if parts[1] else None), parts[2], parts[3] == ".bias"


def _most_common(file: GgufFile) -> str:
    sizes: Counter[str] = Counter()
    for tensor in file.tensors:
        sizes[tensor.type] += tensor.bytes if len(tensor.shape) > 1 else 0
    return sizes.most_common(1)[0][0] if sizes else VECTOR


def _matched(
    weights: Mapping[str, Weight], tensors: list[GgufTensor], outer: bool
) -> tuple[dict[tuple[str, ...], list[GgufTensor]], list[GgufTensor]]:
    """The tensors of each set of weights that they hold together, and those that hold none."""
    table = package_data(TABLE)
    names = {key: [[value]] for key, value in table["outer_tensors"].items()} if outer else table["layer_tensors"]
    matched: dict[tuple[str, ...], list[GgufTensor]] = defaultdict(list)
    rest = []
    for tensor in tensors:
        candidates = [each for each in names.get(_split(tensor)[1], ()) if all(name in weights for name in each)]
        exact = [each for each in candidates if sum(_matrix(weights[name]) for name in each) == tensor.elements]
        chosen = (exact or candidates or [None])[0]
        if chosen is None:
            rest.append(tensor)
        else:
            matched[tuple(chosen)].append(tensor)
    return _joined(matched), rest


def _joined(matched: dict[tuple[str, ...], list[GgufTensor]]) -> dict[tuple[str, ...], list[GgufTensor]]:
    """Sets that share a weight become one (a fused matrix with a separate bias)."""
    joined: dict[tuple[str, ...], list[GgufTensor]] = {}
    for names, tensors in matched.items():
        near = [other for other in joined if set(other) & set(names)]
        for other in near:
            names = tuple(dict.fromkeys((*other, *names)))
            tensors = [*joined.pop(other), *tensors]
        joined[names] = tensors
    return joined


def _matrix(weight: Weight) -> int:
    return int(plain(weight.in_features) * plain(weight.out_features) * plain(weight.copies))


def _elements(weight: Weight) -> int:
    return _matrix(weight) + int(plain(weight.bias or 0) * plain(weight.copies))


def _format(
    names: tuple[str, ...], weights: list[Weight], tensors: list[GgufTensor], file: Path, layer: int | None,
    formats: dict[str, NumberFormat],
) -> str:  # fmt: skip
    """The format id of some weights: the type their tensors share, or one made of their mean bits."""
    wanted, held = sum(map(_elements, weights)), sum(tensor.elements for tensor in tensors)
    if wanted != held:
        raise CatalogError(
            f"holds {held:,} elements, but the metadata imply {wanted:,}", file=str(file),
            field=", ".join(tensor.name for tensor in tensors)[:120],
            hint="The architecture has a variant that is not known, or the file is damaged.",
        )  # fmt: skip
    biases = sum(int(plain(weight.bias or 0) * plain(weight.copies)) for weight in weights)
    matrices = sum(map(_matrix, weights))
    size = sum(tensor.bytes for tensor in tensors) - biases * plain(formats[VECTOR].bits) / 8
    types = dict.fromkeys(tensor.type for tensor in tensors if not (biases and _split(tensor)[2]))
    if len(types) == 1:
        (only,) = types
        stored = formats.setdefault(only, _unlisted(only, size * 8 / matrices))
        if sum(_packed(weight, stored) for weight in weights) == size:
            return only
    mixed = f"{'+'.join(types)} ({size * 8 / matrices:.4g} bits)"
    formats[mixed] = _unlisted(mixed, size * 8 / matrices)
    return mixed


def _packed(weight: Weight, stored: NumberFormat) -> float:
    if stored.packed_elements is None:
        return _matrix(weight) * float(plain(stored.bits)) / 8
    rows, packed = int(plain(weight.in_features)), int(plain(stored.packed_elements))
    return -1 if rows % packed else _matrix(weight) // packed * float(plain(stored.packed_bytes))


def _unlisted(name: str, bits: float) -> NumberFormat:
    return NumberFormat(id=name, bits=bits, compute="activations", kernel="gguf")


def _check_complete(model: Model, layers: Mapping[int, LayerGroup], places: Mapping[Place, str], file: Path) -> None:
    for layer, group in [(None, None), *sorted(layers.items())]:
        weights = outer_weights(model) if group is None else layer_weights(group, model)
        missing = [name for name, weight in weights.items() if (name, layer) not in places and _elements(weight)]
        if missing:
            where = "outside the layers" if layer is None else f"in layer {layer}"
            raise CatalogError(
                f"has no tensor for {', '.join(missing[:4])} {where}", file=str(file),
                hint="The architecture has a variant that is not known, or the file is one part of several.",
            )  # fmt: skip


def _further(
    unknown: list[GgufTensor], places: dict[Place, str], formats: dict[str, NumberFormat]
) -> tuple[tuple[Weight, ...], list[str]]:
    """Tensors beside the model's weights, by type, and a note on them."""
    extra, notes = [], []
    by_type: dict[str, list[GgufTensor]] = defaultdict(list)
    for tensor in unknown:
        by_type[tensor.type].append(tensor)
    for kind, tensors in by_type.items():
        elements, size = sum(t.elements for t in tensors), sum(t.bytes for t in tensors)
        weight = Weight(f"further tensors ({kind})", Role.NORM, elements, quantizable=False)
        formats[weight.name] = _unlisted(weight.name, size * 8 / elements)
        places[weight.name, None] = weight.name
        extra.append(weight)
    if unknown:
        names = ", ".join(dict.fromkeys(_split(tensor)[1] for tensor in unknown))
        size = sum(tensor.bytes for tensor in unknown)
        notes.append(f"{len(unknown)} tensors beside the known weights take {size:,} bytes: {names[:120]}.")
    return tuple(extra), notes
