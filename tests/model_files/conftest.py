"""Files that the tests of model files share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
    "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    "tie_word_embeddings": False, "max_position_embeddings": 2048, "torch_dtype": "bfloat16",
}  # fmt: skip


def llama_tensors(dtype: str = "BF16") -> dict[str, tuple[str, list[int]]]:
    """The tensors of the checkpoint that CONFIG describes."""
    found = {name: (dtype, [100, 64]) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    found["model.norm.weight"] = (dtype, [64])
    for layer in range(2):
        shapes = {
            "self_attn.q_proj": [64, 64], "self_attn.k_proj": [32, 64], "self_attn.v_proj": [32, 64],
            "self_attn.o_proj": [64, 64],
            "mlp.gate_proj": [128, 64], "mlp.up_proj": [128, 64], "mlp.down_proj": [64, 128], "input_layernorm": [64],
            "post_attention_layernorm": [64],
        }  # fmt: skip
        found |= {f"model.layers.{layer}.{name}.weight": (dtype, shape) for name, shape in shapes.items()}
    return found


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, list[int]]], bits: int = 16) -> Path:
    """A safetensors file with a header and, as data, nothing but a hole of the right size."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = bits // 8
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + offset)
    return path


@pytest.fixture
def config_in(tmp_path: Path) -> Callable[..., Path]:
    """Writes CONFIG, with changes (None leaves a key out), into a model folder; returns the folder."""

    def write(**changes: Any) -> Path:
        data = {key: value for key, value in (CONFIG | changes).items() if value is not None}
        folder = tmp_path / "my-model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(data, indent=2))
        return folder

    return write
