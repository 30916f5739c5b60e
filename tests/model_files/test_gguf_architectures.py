"""Every GGUF architecture of the table, on the models of the catalog: named tensor by tensor as
llama.cpp's converter names them, the file gives back the model it came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.formats import number_formats
from llmsizer.catalog.gguf_files import GgufFile, GgufTensor
from llmsizer.catalog.gguf_models import TABLE, gguf_config
from llmsizer.catalog.gguf_tensors import file_scheme
from llmsizer.catalog.model_files import ModelSource
from llmsizer.catalog.package_data import package_yaml
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import lower, total_parameters
from llmsizer.sizing.weights import checkpoint_bytes

TABLES = package_yaml(TABLE).data
# One model of the catalog for each architecture.
MODELS = {
    "llama": "meta-llama/Llama-3.1-8B", "mixtral": "mistralai/Mixtral-8x7B-Instruct-v0.1", "qwen2": "Qwen/Qwen2.5-7B",
    "qwen2moe": "Qwen/Qwen1.5-MoE-A2.7B", "qwen3": "Qwen/Qwen3-8B", "qwen3moe": "Qwen/Qwen3-30B-A3B",
    "qwen3next": "Qwen/Qwen3-Next-80B-A3B-Instruct", "gemma": "google/gemma-7b", "gemma2": "google/gemma-2-9b",
    "gemma3": "google/gemma-3-1b-it", "phi2": "microsoft/phi-2", "phi3": "microsoft/phi-4",
    "phimoe": "microsoft/Phi-3.5-MoE-instruct", "deepseek": "deepseek-ai/deepseek-moe-16b-base",
    "deepseek2": "deepseek-ai/DeepSeek-V2-Lite", "deepseek2-v3": "deepseek-ai/DeepSeek-V3",
    "kimi-linear": "moonshotai/Kimi-Linear-48B-A3B-Instruct", "chatglm": "zai-org/glm-4-9b", "glm4": "zai-org/GLM-4-9B-0414",
    "glm4moe": "zai-org/GLM-4.5-Air", "gpt-oss": "openai/gpt-oss-20b", "falcon": "tiiuae/falcon-40b",
    "command-r": "CohereLabs/c4ai-command-r-plus", "cohere2": "CohereLabs/c4ai-command-r7b-12-2024",
    "dbrx": "databricks/dbrx-base", "grok": "xai-org/grok-1", "minimax-m2": "MiniMaxAI/MiniMax-M2",
    "granite": "ibm-granite/granite-3.1-8b-instruct", "granitemoe": "ibm-granite/granite-3.1-1b-a400m-instruct",
    "granitehybrid": "ibm-granite/granite-4.0-h-small", "nemotron": "nvidia/Nemotron-Mini-4B-Instruct",
    "nemotron_h": "nvidia/Nemotron-H-8B-Base-8K", "nemotron_h_moe": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16",
    "jamba": "ai21labs/AI21-Jamba-Mini-1.5", "mamba": "state-spaces/mamba-2.8b-hf", "gptneox": "EleutherAI/pythia-6.9b",
    "gptj": "EleutherAI/gpt-j-6b", "gpt2": "openai-community/gpt2", "bloom": "bigscience/bloom", "mpt": "mosaicml/mpt-7b",
    "starcoder2": "bigcode/starcoder2-7b", "smollm3": "HuggingFaceTB/SmolLM3-3B", "olmo2": "allenai/OLMo-2-1124-7B-Instruct",
    "olmoe": "allenai/OLMoE-1B-7B-0924", "internlm2": "internlm/internlm2_5-7b-chat",
    "baichuan": "baichuan-inc/Baichuan2-7B-Chat", "seed_oss": "ByteDance-Seed/Seed-OSS-36B-Instruct",
    "llama4": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
}  # fmt: skip
ARCHITECTURE = {"mixtral": "llama", "deepseek2-v3": "deepseek2"}


def tensors_of(model: Model) -> Iterator[GgufTensor]:
    """A model's weights (towers left out) as tensors, 16-bit matrices and 32-bit vectors."""
    lowered = lower(model)
    outer = {weight: tensor for tensor, weight in TABLES["outer_tensors"].items()}
    inner: dict[str, str] = {}
    for tensor, candidates in TABLES["layer_tensors"].items():
        for names in candidates:
            if len(names) == 1:
                inner.setdefault(names[0], tensor)
    for stack in (lowered.embedding, lowered.head):
        yield from _named(stack, outer, "")
    for stack in lowered.layers:
        for layer in stack.indices:
            yield from _named(stack, inner, f"blk.{layer}.")


def _named(stack: Any, names: dict[str, str], prefix: str) -> Iterator[GgufTensor]:
    for operation in stack.operations:
        for weight in operation.weights:
            rows, columns, copies = (int(plain(n)) for n in (weight.in_features, weight.out_features, weight.copies))
            kind, size = ("F16", 2) if columns > 1 else ("F32", 4)
            shape = (rows, columns, copies) if copies > 1 else (rows, columns)
            elements = rows * columns * copies
            if not elements:
                continue
            name = prefix + names[weight.name]
            yield GgufTensor(f"{name}.weight", kind, shape, elements, elements * size)
            if weight.bias is not None:
                bias = int(plain(weight.bias)) * copies
                yield GgufTensor(f"{name}.bias", "F32", (bias,), bias, bias * 4)


def _spelt(tensors: Iterator[GgufTensor], architecture: str) -> Iterator[GgufTensor]:
    """Falcon's second norm has a name that says so; all other tensors as they are."""
    for tensor in tensors:
        if architecture != "falcon" or "attn_norm" not in tensor.name:
            yield tensor
            continue
        for name in (tensor.name, tensor.name.replace("attn_norm", "attn_norm_2")):
            half = tensor.elements // 2
            yield GgufTensor(name, tensor.type, (half,), half, tensor.bytes // 2)


def metadata_of(model: Model, architecture: str) -> dict[str, Any]:
    """The metadata the converter writes for a config."""
    config, prefix = dict(model.config), architecture + "."
    found = {prefix + key: config[name] for key, name in TABLES["keys"].items() if config.get(name) is not None}
    found |= {prefix + key: config[name] for key, name in TABLES["latent_keys"].items() if config.get(name) is not None}
    found[prefix + "block_count"] = model.num_hidden_layers
    if config.get("kv_lora_rank"):
        found[prefix + "attention.key_length"] = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
        found[prefix + "attention.value_length"] = config["v_head_dim"]
    for group in model.layers:
        found |= {prefix + key: value for key, value in _block_keys(group, model).items()}
    first = ("first_k_dense_replace", "leading_dense_block_count")
    found |= {prefix + first[1]: config[first[0]]} if config.get(first[0]) else {}
    if config.get("n_shared_experts"):
        found[prefix + "expert_shared_count"] = config["n_shared_experts"]
    return found | {"general.architecture": architecture, "general.file_type": 1}


def _block_keys(group: Any, model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ffn, block = group.feed_forward, group.attention
    if ffn is not None and ffn.kind == "mixture_of_experts":
        found |= {"expert_count": ffn.num_experts, "expert_used_count": ffn.num_experts_per_tok,
                  "expert_feed_forward_length": ffn.moe_intermediate_size}  # fmt: skip
    elif ffn is not None:
        found["feed_forward_length"] = ffn.intermediate_size
    kind = block.kind if block is not None else ""
    if kind == "grouped_query":
        found |= {"attention.head_count": block.num_attention_heads, "attention.head_count_kv": block.num_key_value_heads,
                  "attention.key_length": block.head_dim}  # fmt: skip
    elif kind == "mamba1":
        found |= {"ssm.conv_kernel": block.conv_kernel, "ssm.state_size": block.state_size,
                  "ssm.inner_size": block.intermediate_size, "ssm.time_step_rank": block.time_step_rank}  # fmt: skip
    elif kind == "mamba2":
        found |= {"ssm.conv_kernel": block.conv_kernel, "ssm.state_size": block.state_size, "ssm.group_count": block.n_groups,
                  "ssm.inner_size": block.num_heads * block.head_dim, "ssm.time_step_rank": block.num_heads}  # fmt: skip
    elif kind == "gated_delta_net":
        found |= {"ssm.conv_kernel": block.linear_conv_kernel_dim, "ssm.state_size": block.linear_key_head_dim,
                  "ssm.group_count": block.linear_num_key_heads, "ssm.time_step_rank": block.linear_num_value_heads,
                  "ssm.inner_size": block.linear_num_value_heads * block.linear_value_head_dim}  # fmt: skip
    elif kind == "kimi_delta":
        found |= {"ssm.conv_kernel": block.conv_kernel, "kda.head_dim": block.head_dim}
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_model_survives_gguf(name: str, catalog: llmsizer.Catalog):
    known = catalog.model(MODELS[name])
    architecture = ARCHITECTURE.get(name, name)
    file = GgufFile(Path("m.gguf"), metadata_of(known, architecture), tuple(_spelt(tensors_of(known), architecture)))
    read = ModelSource(name="m", file=file.path, config=gguf_config(file)).model()
    scheme, extra, notes = file_scheme(read, file, "F16")
    size = float(checkpoint_bytes(read, scheme, number_formats()[read.torch_dtype]))
    assert size == pytest.approx(sum(tensor.bytes for tensor in file.tensors), abs=1.0)
    assert (extra, notes) == ((), [])
    towers = sum(
        float(plain(w.elements())) * plain(s.count) for s in lower(known).towers for o in s.operations for w in o.weights
    )
    assert float(total_parameters(read)) == float(total_parameters(known)) - towers
    assert read.num_hidden_layers == known.num_hidden_layers
    mine = {layer: group.attention for group in read.layers for layer in group.indices}
    assert mine == {layer: group.attention for group in known.layers for layer in group.indices}


def test_every_architecture_is_tried():
    tried = {ARCHITECTURE.get(name, name) for name in MODELS}
    later = {"mistral3", "qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe"}  # text parts of models tried above
    assert set(TABLES["architectures"]) == tried | later
