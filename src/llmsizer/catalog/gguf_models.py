"""From the head of a GGUF file to a config as config.json spells it, and to a Model.

``data/gguf_architectures.yaml`` holds the correspondence; what metadata leave out (biases, tied
heads, layer kinds) is read off the tensors that are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.catalog.architectures import families
from llmsizer.catalog.config_reader import MOST_LAYERS
from llmsizer.catalog.formats import scheme_names
from llmsizer.catalog.gguf_files import GgufFile, Skipped, gguf_file
from llmsizer.catalog.gguf_tensors import file_scheme
from llmsizer.catalog.model_files import ModelSource
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import CatalogError, nearest, shortened
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme

TABLE = "gguf_architectures.yaml"
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_LAYER = re.compile(r"^blk\.(\d{1,5})\.(.+?)(?:\.(?:weight|bias))?$")


def gguf_model(path: Path) -> tuple[Model, QuantizationScheme]:
    """The model of a GGUF file and the types of its tensors: the weights take the file's own bytes."""
    file = gguf_file(path)
    model = _source(file).model()
    name = scheme_id(file)
    scheme, extra, said = file_scheme(model, file, name)
    native = name if name in scheme_names() else model.native_quantization
    notes = " ".join([*filter(None, [model.notes]), *said])
    return replace(model, extra=(*model.extra, *extra), native_quantization=native, notes=notes), scheme


def gguf_source(path: Path) -> ModelSource:
    """What a GGUF file says of a model, as a config."""
    return _source(gguf_file(path))


def _source(file: GgufFile) -> ModelSource:
    notes = (f"read from a GGUF file stored as {scheme_id(file)}",)
    return ModelSource(name=_PART.sub("", file.path.stem), file=file.path, config=gguf_config(file), notes=notes)


def scheme_id(file: GgufFile) -> str:
    """The mix of a file as llama.cpp names it (``Q4_K_M``); ``GGUF`` when it does not say."""
    from gguf import LlamaFileType

    number = file.metadata.get("general.file_type")
    if not isinstance(number, int) or number not in {int(kind) for kind in LlamaFileType}:
        return "GGUF"
    name = LlamaFileType(number).name
    return "GGUF" if name == "GUESSED" else name.removeprefix("MOSTLY_").removeprefix("ALL_")


class _Metadata:
    """The metadata of one architecture, and the names of the tensors, as the rules ask for them."""

    def __init__(self, file: GgufFile, architecture: str) -> None:
        self.file, self.prefix = file, architecture + "."
        self.layers: dict[int, set[str]] = {}
        self.names = {tensor.name for tensor in file.tensors}
        self.shapes = {tensor.name: tensor.shape for tensor in file.tensors}
        for name in self.names:
            if found := _LAYER.match(name):
                self.layers.setdefault(int(found[1]), set()).add(found[2])

    def get(self, key: str) -> Any:
        """A value under the architecture; of a list per layer its largest item."""
        found = self.file.metadata.get(self.prefix + key)
        if isinstance(found, list):
            numbers = [item for item in found if isinstance(item, (int, float))]
            return max(numbers) if numbers else None
        return None if isinstance(found, Skipped) else found

    def items(self, key: str) -> list[Any] | None:
        """A list per layer; None when there is none."""
        found = self.file.metadata.get(self.prefix + key)
        return found if isinstance(found, list) else None

    def any_layer(self, *tensors: str) -> bool:
        """Whether some layer has one of these tensors."""
        return any(not held.isdisjoint(tensors) for held in self.layers.values())

    def biased(self, *tensors: str) -> bool:
        """Whether one of these tensors comes with a bias in some layer."""
        return any(f"blk.{layer}.{tensor}.bias" in self.names for layer in self.layers for tensor in tensors)

    def width(self, tensor: str) -> int | None:
        """The outputs of a matrix, in the first layer that has it."""
        shapes = (self.shapes.get(f"blk.{layer}.{tensor}.weight") for layer in sorted(self.layers))
        return next((shape[1] for shape in shapes if shape is not None and len(shape) > 1), None)


def gguf_config(file: GgufFile) -> dict[str, Any]:
    """The metadata of a GGUF file as a config.json would spell them.

    Raises CatalogError for an architecture that is not known, by name with the nearest.
    """
    table = package_data(TABLE)
    architecture = file.metadata.get("general.architecture")
    known = table["architectures"]
    if not isinstance(architecture, str) or architecture not in known:
        near = nearest(str(architecture), known)
        raise CatalogError(
            f"architecture '{shortened(str(architecture))}' is not supported", file=str(file.path),
            field="general.architecture", hint=f"The nearest supported are: {', '.join(near)}." if near else "",
        )  # fmt: skip
    held = _Metadata(file, architecture)
    model_type = _model_type(known[architecture], held)
    traits = families()[model_type]
    config: dict[str, Any] = {"model_type": model_type}
    for key, name in table["keys"].items():
        if (found := held.get(key)) is not None:
            config[name] = found
    config |= _outside(held) | _experts(held, traits) | _pattern(held, traits)
    if traits["attention"] == "latent":
        config |= _latent(held, table)
        config.pop("head_dim", None)
    config |= _mixer(held, table["mixer_keys"].get(traits["linear_kind"] if traits["builder"] == "decoder" else "mamba2"))
    config |= _switches(held, traits)
    if nextn := held.get("nextn_predict_layers"):
        config["num_hidden_layers"] = (config.get("num_hidden_layers") or 0) - nextn
    return config


def _model_type(entry: Mapping[str, Any], held: _Metadata) -> str:
    for tensor, other in (entry.get("with_tensor") or {}).items():
        if held.any_layer(tensor):
            return str(other)
    for key, other in (entry.get("with_key") or {}).items():
        if held.get(key):
            return str(other)
    return str(entry["model_type"])


def _outside(held: _Metadata) -> dict[str, Any]:
    """Vocabulary, tied head, 16-bit type, and biases by the usual keys."""
    embedding = held.shapes.get("token_embd.weight")
    vocabulary = embedding[1] if embedding is not None and len(embedding) == 2 else held.get("vocab_size")
    types = {tensor.type for tensor in held.file.tensors}
    return {
        "vocab_size": vocabulary,
        "tie_word_embeddings": "output.weight" not in held.names,
        "torch_dtype": "bfloat16" if "BF16" in types else "float16",
    }


def _experts(held: _Metadata, traits: Mapping[str, Any]) -> dict[str, Any]:
    """Expert counts and widths under the keys of the family."""
    moe = traits.get("moe")
    if not isinstance(moe, Mapping) or not held.get("expert_count") or not held.any_layer("ffn_gate_inp"):
        return {}
    count, used = held.get("expert_count"), held.get("expert_used_count")
    found = {moe["experts"]: count, moe.get("per_token", "num_experts_per_tok"): used}
    width = held.get("expert_feed_forward_length") or held.width("ffn_up_exps")
    if width is None and (joint := held.width("ffn_gate_up_exps")):
        width = joint // 2
    found[moe["width"]] = width or held.get("feed_forward_length")
    if "shared_width" in moe and moe["shared_width"] != moe["width"]:
        found[moe["shared_width"]] = held.width("ffn_up_shexp")
    if "shared_count" in moe:
        found[moe["shared_count"]] = held.get("expert_shared_count")
    if traits.get("dense_width") and traits["dense_width"] not in found:
        found[traits["dense_width"]] = held.get("feed_forward_length")
    if "first_dense" in moe and held.get("leading_dense_block_count") is not None:
        found[moe["first_dense"]] = held.get("leading_dense_block_count")
    else:
        found |= {key: value for key, value in (("step", 1), ("offset", 0)) if key in moe for key in (moe[key],)}
        found["mlp_only_layers"] = [layer for layer, names in sorted(held.layers.items()) if "ffn_gate_inp" not in names]
    return found


def _pattern(held: _Metadata, traits: Mapping[str, Any]) -> dict[str, Any]:
    """Which layers are linear, windowed or full, where the file shows it."""
    count = held.get("block_count")
    if not isinstance(count, int) or not 0 < count <= MOST_LAYERS:
        return {}
    layers = [held.layers.get(layer, set()) for layer in range(count)]
    if traits["builder"] == "letter_pattern":
        return {"hybrid_override_pattern": "".join(_letter(names) for names in layers)}
    if traits["linear_kind"] != "none" and traits["full_every"] != "none":
        linear = [any(name.startswith("ssm_") for name in names) for names in layers]
        return {"layer_types": ["linear_attention" if each else "full_attention" for each in linear]}
    windows = held.items("attention.sliding_window_pattern")
    if windows is not None and len(windows) == count:
        return {"layer_types": ["sliding_attention" if each else "full_attention" for each in windows]}
    return {}


def _letter(names: set[str]) -> str:
    if any(name.startswith("ssm_") for name in names):
        return "M"
    return "*" if "attn_output" in names else "E" if "ffn_gate_inp" in names else "-"


def _latent(held: _Metadata, table: Mapping[str, Any]) -> dict[str, Any]:
    """The widths of latent attention: old files give them per head, new ones under ``_mla``."""
    found = {name: held.get(key) for key, name in table["latent_keys"].items()}
    key = held.get("attention.key_length_mla") or held.get("attention.key_length")
    rope = found.get("qk_rope_head_dim")
    if isinstance(key, int) and isinstance(rope, int):
        found["qk_nope_head_dim"] = key - rope
    found["v_head_dim"] = held.get("attention.value_length_mla") or held.get("attention.value_length")
    return found


def _mixer(held: _Metadata, keys: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in (keys or {}).items():
        values = [held.get(each) for each in (key if isinstance(key, list) else [key])]
        if len(values) == 1:
            found[name] = values[0]
        elif all(isinstance(value, int) and value > 0 for value in values) and values[0] % values[1] == 0:
            found[name] = values[0] // values[1]
    return {name: value for name, value in found.items() if value is not None}


def _switches(held: _Metadata, traits: Mapping[str, Any]) -> dict[str, Any]:
    """Truth values a family reads from its config, as the tensors answer them."""
    present = {
        "qkv_bias": held.biased("attn_q", "attn_qkv"),
        "output_bias": held.biased("attn_output"),
        "mlp_bias": held.biased("ffn_up", "ffn_down"),
        "lm_head_bias": "output.bias" in held.names,
        "qk_norm": held.any_layer("attn_q_norm"),
        "norms_per_layer": held.any_layer("attn_norm_2"),
    }
    found: dict[str, Any] = {}
    for trait, value in present.items():
        rule = traits.get(trait)
        if isinstance(rule, Mapping) and isinstance(rule.get("default"), bool):
            found[rule["config"]] = bool(found.get(rule["config"])) or value
    return found
