"""Small GGUF files as llama.cpp's converter lays them out, written with the package gguf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

Q = GGMLQuantizationType


@dataclass
class Sample:
    """One file to be written: metadata under the architecture, tensors with rows first."""

    architecture: str
    keys: Mapping[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], Q]] = field(default_factory=dict)
    file_type: int = 15

    def add(self, name: str, *shape: int, kind: Q = Q.F32) -> None:
        """A tensor; ``shape`` with the row width first, as GGUF has it."""
        block = GGML_QUANT_SIZES[kind][0]
        self.tensors[name] = shape, kind if shape[0] % block == 0 else Q.F16

    def bytes(self) -> int:
        total = 0
        for shape, kind in self.tensors.values():
            block, size = GGML_QUANT_SIZES[kind]
            total += int(np.prod(shape)) // block * size
        return total

    def elements(self) -> int:
        return sum(int(np.prod(shape)) for shape, _ in self.tensors.values())

    def write(self, path: Path) -> Path:
        writer = GGUFWriter(path, self.architecture)
        writer.add_file_type(self.file_type)
        writer.add_array("tokenizer.ggml.tokens", [f"token {n}" for n in range(50)])
        writer.add_array("tokenizer.ggml.scores", [0.5] * 5000)
        for key, value in self.keys.items():
            name = f"{self.architecture}.{key}"
            if isinstance(value, list):
                writer.add_array(name, value)
            else:
                writer.add_uint32(name, value)
        for name, (shape, kind) in self.tensors.items():
            block, size = GGML_QUANT_SIZES[kind]
            rows = (*reversed(shape[1:]), shape[0] // block * size)
            writer.add_tensor(name, np.zeros(rows, dtype=np.uint8), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def _outside(sample: Sample, hidden: int, vocabulary: int, tied: bool) -> Sample:
    sample.add("token_embd.weight", hidden, vocabulary, kind=Q.Q4_K)
    sample.add("output_norm.weight", hidden)
    if not tied:
        sample.add("output.weight", hidden, vocabulary, kind=Q.Q6_K)
    return sample


def _attention(sample: Sample, layer: int, hidden: int, query: int, key_value: int, value: Q = Q.Q4_K) -> None:
    sample.add(f"blk.{layer}.attn_norm.weight", hidden)
    sample.add(f"blk.{layer}.attn_q.weight", hidden, query, kind=Q.Q4_K)
    sample.add(f"blk.{layer}.attn_k.weight", hidden, key_value, kind=Q.Q4_K)
    sample.add(f"blk.{layer}.attn_v.weight", hidden, key_value, kind=value)
    sample.add(f"blk.{layer}.attn_output.weight", query, hidden, kind=Q.Q4_K)


def _mlp(sample: Sample, layer: int, hidden: int, width: int, suffix: str = "", count: int = 0, down: Q = Q.Q6_K) -> None:
    copies = (count,) if count else ()
    sample.add(f"blk.{layer}.ffn_gate{suffix}.weight", hidden, width, *copies, kind=Q.Q4_K)
    sample.add(f"blk.{layer}.ffn_up{suffix}.weight", hidden, width, *copies, kind=Q.Q4_K)
    sample.add(f"blk.{layer}.ffn_down{suffix}.weight", width, hidden, *copies, kind=down)


def llama() -> Sample:
    """Llama 3: grouped queries, rotary factors as a tensor of their own."""
    keys = {"block_count": 3, "embedding_length": 256, "feed_forward_length": 512, "context_length": 8192,
            "attention.head_count": 8, "attention.head_count_kv": 2, "rope.dimension_count": 32, "vocab_size": 300}  # fmt: skip
    sample = _outside(Sample("llama", keys), 256, 300, tied=False)
    sample.add("rope_freqs.weight", 16)
    for layer in range(3):
        _attention(sample, layer, 256, 256, 64, value=Q.Q6_K if layer == 0 else Q.Q4_K)
        sample.add(f"blk.{layer}.ffn_norm.weight", 256)
        _mlp(sample, layer, 256, 512, down=Q.Q6_K if layer == 2 else Q.Q4_K)
    return sample


def qwen2() -> Sample:
    """Qwen 2.5: biases on queries, keys and values; a width that k-quants cannot pack."""
    keys = {"block_count": 2, "embedding_length": 256, "feed_forward_length": 352, "context_length": 32768,
            "attention.head_count": 4, "attention.head_count_kv": 2}  # fmt: skip
    sample = _outside(Sample("qwen2", keys), 256, 300, tied=True)
    for layer in range(2):
        _attention(sample, layer, 256, 256, 128)
        for name, width in (("q", 256), ("k", 128), ("v", 128)):
            sample.add(f"blk.{layer}.attn_{name}.bias", width)
        sample.add(f"blk.{layer}.ffn_norm.weight", 256)
        _mlp(sample, layer, 256, 352, down=Q.Q8_0)
    return sample


def qwen3moe() -> Sample:
    """Qwen 3 with experts: head norms, routed experts in every layer."""
    keys = {"block_count": 2, "embedding_length": 256, "feed_forward_length": 768, "expert_feed_forward_length": 256,
            "context_length": 40960, "attention.head_count": 4, "attention.head_count_kv": 2, "expert_count": 8,
            "attention.key_length": 128, "attention.value_length": 128, "expert_used_count": 2}  # fmt: skip
    sample = _outside(Sample("qwen3moe", keys), 256, 300, tied=False)
    for layer in range(2):
        _attention(sample, layer, 256, 512, 256)
        for name in ("attn_q_norm", "attn_k_norm"):
            sample.add(f"blk.{layer}.{name}.weight", 128)
        sample.add(f"blk.{layer}.ffn_norm.weight", 256)
        sample.add(f"blk.{layer}.ffn_gate_inp.weight", 256, 8)
        _mlp(sample, layer, 256, 256, "_exps", 8)
    return sample


def gemma3() -> Sample:
    """Gemma 3: four norms, head norms, a tied embedding, five windowed layers to one full."""
    keys = {"block_count": 6, "embedding_length": 256, "feed_forward_length": 512, "context_length": 131072,
            "attention.head_count": 4, "attention.head_count_kv": 1, "attention.key_length": 256,
            "attention.value_length": 256, "attention.sliding_window": 512}  # fmt: skip
    sample = _outside(Sample("gemma3", keys), 256, 400, tied=True)
    for layer in range(6):
        _attention(sample, layer, 256, 1024, 256)
        for name in ("attn_q_norm", "attn_k_norm"):
            sample.add(f"blk.{layer}.{name}.weight", 256)
        for name in ("post_attention_norm", "ffn_norm", "post_ffw_norm"):
            sample.add(f"blk.{layer}.{name}.weight", 256)
        _mlp(sample, layer, 256, 512)
    return sample


def deepseek2(split_kv_b: bool = True) -> Sample:
    """DeepSeek-V3: latent attention (new files split kv_b), a dense first layer, shared experts."""
    keys = {"block_count": 3, "embedding_length": 256, "feed_forward_length": 512, "expert_feed_forward_length": 256,
            "context_length": 163840, "attention.head_count": 4, "attention.head_count_kv": 1, "attention.q_lora_rank": 256,
            "attention.kv_lora_rank": 256, "attention.key_length": 320, "attention.value_length": 256,
            "attention.key_length_mla": 192, "attention.value_length_mla": 128, "rope.dimension_count": 64,
            "expert_count": 8, "expert_used_count": 2, "expert_shared_count": 1, "leading_dense_block_count": 1}  # fmt: skip
    if not split_kv_b:
        keys = {key: value for key, value in keys.items() if not key.endswith("_mla")}
        keys |= {"attention.head_count_kv": 4, "attention.key_length": 192, "attention.value_length": 128}
    sample = _outside(Sample("deepseek2", keys), 256, 300, tied=False)
    for layer in range(3):
        block = f"blk.{layer}"
        for name, width in (("attn_norm", 256), ("attn_q_a_norm", 256), ("attn_kv_a_norm", 256), ("ffn_norm", 256)):
            sample.add(f"{block}.{name}.weight", width)
        sample.add(f"{block}.attn_q_a.weight", 256, 256, kind=Q.Q4_K)
        sample.add(f"{block}.attn_q_b.weight", 256, 4 * 192, kind=Q.Q4_K)
        sample.add(f"{block}.attn_kv_a_mqa.weight", 256, 320, kind=Q.Q4_K)
        if split_kv_b:
            sample.add(f"{block}.attn_k_b.weight", 128, 256, 4, kind=Q.Q8_0)
            sample.add(f"{block}.attn_v_b.weight", 256, 128, 4, kind=Q.Q4_K)
        else:
            sample.add(f"{block}.attn_kv_b.weight", 256, 4 * 256, kind=Q.Q4_K)
        sample.add(f"{block}.attn_output.weight", 512, 256, kind=Q.Q4_K)
        if layer == 0:
            _mlp(sample, layer, 256, 512)
            continue
        sample.add(f"{block}.ffn_gate_inp.weight", 256, 8)
        sample.add(f"{block}.exp_probs_b.bias", 8)
        _mlp(sample, layer, 256, 256, "_exps", 8)
        _mlp(sample, layer, 256, 256, "_shexp")
    return sample


def phi3() -> Sample:
    """Phi-3: fused query, key and value; fused gate and up."""
    keys = {"block_count": 2, "embedding_length": 256, "feed_forward_length": 512, "context_length": 4096,
            "attention.head_count": 4, "attention.head_count_kv": 4, "attention.sliding_window": 2047}  # fmt: skip
    sample = _outside(Sample("phi3", keys), 256, 300, tied=False)
    for layer in range(2):
        for name in ("attn_norm", "ffn_norm"):
            sample.add(f"blk.{layer}.{name}.weight", 256)
        sample.add(f"blk.{layer}.attn_qkv.weight", 256, 768, kind=Q.Q5_K)
        sample.add(f"blk.{layer}.attn_output.weight", 256, 256, kind=Q.Q4_K)
        sample.add(f"blk.{layer}.ffn_up.weight", 256, 1024, kind=Q.Q4_K)
        sample.add(f"blk.{layer}.ffn_down.weight", 512, 256, kind=Q.Q6_K)
    return sample


def nemotron_h() -> Sample:
    """Nemotron-H: a Mamba-2 mixer, an attention layer and a plain MLP, one each layer."""
    keys = {"block_count": 3, "embedding_length": 256, "feed_forward_length": [0, 512, 0], "context_length": 8192,
            "attention.head_count": [0, 0, 4], "attention.head_count_kv": [0, 0, 2], "attention.key_length": 64,
            "ssm.conv_kernel": 4, "ssm.state_size": 32, "ssm.group_count": 2, "ssm.inner_size": 512,
            "ssm.time_step_rank": 8}  # fmt: skip
    sample = _outside(Sample("nemotron_h", keys), 256, 300, tied=False)
    for layer in range(3):
        sample.add(f"blk.{layer}.attn_norm.weight", 256)
    sample.add("blk.0.ssm_in.weight", 256, 512 + 640 + 8, kind=Q.Q4_K)
    sample.add("blk.0.ssm_conv1d.weight", 4, 640)
    sample.add("blk.0.ssm_conv1d.bias", 640)
    sample.add("blk.0.ssm_dt.bias", 8)
    sample.add("blk.0.ssm_a", 1, 8)
    sample.add("blk.0.ssm_d", 1, 8)
    sample.add("blk.0.ssm_norm.weight", 256, 2)
    sample.add("blk.0.ssm_out.weight", 512, 256, kind=Q.Q4_K)
    sample.add("blk.1.ffn_up.weight", 256, 512, kind=Q.Q4_K)
    sample.add("blk.1.ffn_down.weight", 512, 256, kind=Q.Q4_K)
    sample.add("blk.2.attn_q.weight", 256, 256, kind=Q.Q4_K)
    sample.add("blk.2.attn_k.weight", 256, 128, kind=Q.Q4_K)
    sample.add("blk.2.attn_v.weight", 256, 128, kind=Q.Q4_K)
    sample.add("blk.2.attn_output.weight", 256, 256, kind=Q.Q4_K)
    return sample


SAMPLES = {
    "llama": llama, "qwen2": qwen2, "qwen3moe": qwen3moe, "gemma3": gemma3, "deepseek2": deepseek2,
    "deepseek2 with kv_b": lambda: deepseek2(split_kv_b=False), "phi3": phi3, "nemotron_h": nemotron_h,
}  # fmt: skip
