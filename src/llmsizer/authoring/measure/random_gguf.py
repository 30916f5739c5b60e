"""A GGUF file with the tensors of a catalog model, filled with random numbers.

Tensor and metadata names are those by which ``catalog/gguf_models.py`` reads such files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from llmsizer.blocks.attention import GroupedQuery
from llmsizer.blocks.operation import Weight
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import LlmsizerError, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import Stack, lower

POOL = 1 << 20
NORMS = ("attn_norm", "ffn_norm")
VALUE_SCALE = 0.02


def write_random_gguf(model: Model, path: Path) -> None:
    """Writes the model in 16 bit. Raises UnsupportedCombination for one whose tensors have no plain names."""
    gguf, numpy = _module("gguf"), _module("numpy")
    tables = package_data("gguf_architectures.yaml")
    writer = gguf.GGUFWriter(str(path), _architecture(model, tables))
    _add_metadata(writer, model, tables, gguf)
    pool = numpy.random.default_rng(0).normal(0.0, VALUE_SCALE, POOL).astype(numpy.float16)
    tensors = list(_tensors(model, tables))
    for name, shape in tensors:
        is_vector = len(shape) == 1
        writer.add_tensor_info(
            name, shape, numpy.dtype(numpy.float32 if is_vector else numpy.float16), _size(shape) * (4 if is_vector else 2)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, shape in tensors:
        data = numpy.resize(pool, _size(shape)).reshape(shape)
        writer.write_tensor_data(data.astype(numpy.float32) + 1.0 if len(shape) == 1 else data)
    writer.close()


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise LlmsizerError(
            f"writing a GGUF file needs {name}, which is not installed", "pip install 'llmsizer[gguf]'"
        ) from error


def _architecture(model: Model, tables: Mapping[str, Any]) -> str:
    for name, entry in tables["architectures"].items():
        if entry["model_type"] == model.model_type:
            return str(name)
    raise UnsupportedCombination(
        f"{model.id}: '{model.model_type}' has no GGUF architecture here", "measure a Llama or Qwen model"
    )


def _add_metadata(writer: Any, model: Model, tables: Mapping[str, Any], gguf: Any) -> None:
    config, architecture = model.config, writer.arch
    for key, name in tables["keys"].items():
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            writer.add_uint32(f"{architecture}.{key}", value)
    attention = model.layers[0].attention
    assert isinstance(attention, GroupedQuery)
    width = int(plain(attention.head_dim))
    writer.add_uint32(f"{architecture}.rope.dimension_count", width)
    if "head_dim" not in config:
        writer.add_uint32(f"{architecture}.attention.key_length", width)
    writer.add_uint32(f"{architecture}.attention.value_length", width)
    writer.add_float32(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_uint32(f"{architecture}.vocab_size", int(plain(model.vocab_size)))
    writer.add_string("tokenizer.ggml.model", "none")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


Tensor = tuple[str, tuple[int, ...]]


def _tensors(model: Model, tables: Mapping[str, Any]) -> Iterator[Tensor]:
    """Names and shapes (outputs × inputs) of all tensors."""
    outer = {weight: name for name, weight in tables["outer_tensors"].items()}
    lowered = lower(model)
    for stack in (lowered.embedding, lowered.head):
        for weight in _weights(stack):
            yield f"{outer[weight.name]}.weight", _shape(weight)
    inner: dict[str, str] = {}
    for name, lists in tables["layer_tensors"].items():
        if len(lists[0]) == 1:
            inner.setdefault(lists[0][0], name)
    by_layer = {index: stack for stack in lowered.layers for index in stack.indices}
    for index in sorted(by_layer):
        for weight in _weights(by_layer[index]):
            yield from ((f"blk.{index}.{name}", shape) for name, shape in _layer_tensors(weight, inner, model))


def _layer_tensors(weight: Weight, inner: Mapping[str, str], model: Model) -> Iterator[Tensor]:
    if weight.name == "norms" and int(plain(weight.copies)) == len(NORMS):
        for name in NORMS:
            yield f"{name}.weight", (int(plain(weight.in_features)),)
        return
    if weight.name == "norms" or weight.name not in inner:
        raise UnsupportedCombination(f"{model.id}: no GGUF tensor for its {weight.name}", "measure a Llama or Qwen model")
    yield f"{inner[weight.name]}.weight", _shape(weight)
    if weight.bias is not None:
        yield f"{inner[weight.name]}.bias", (int(plain(weight.bias)),)


def _weights(stack: Stack) -> Iterator[Weight]:
    for operation in stack.operations:
        yield from operation.weights


def _shape(weight: Weight) -> tuple[int, ...]:
    rows, columns, copies = (int(plain(each)) for each in (weight.out_features, weight.in_features, weight.copies))
    if rows == 1:
        return (columns,)
    return (rows, columns) if copies == 1 else (copies, rows, columns)


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for each in shape:
        product *= each
    return product
