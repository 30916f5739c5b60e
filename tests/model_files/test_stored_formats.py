"""What a quantization_config says of single modules decides how they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.blocks.operation import Role, Weight
from llmsizer.catalog.formats import number_formats, published_scheme
from llmsizer.catalog.model_files import model_from_path
from llmsizer.catalog.models import stored_as
from llmsizer.catalog.module_names import Module, pattern_of
from llmsizer.core.errors import CatalogError
from llmsizer.schema.model import Model
from llmsizer.sizing.weights import checkpoint_bytes
from llmsizer.validation.file_rows import checkpoint_errors

IN = Callable[..., Path]
WEIGHTS = {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
LAYERS = range(61)
MLP = {"gate_proj", "up_proj", "down_proj"}


def read(config_in: IN, **quantization: Any) -> Model:
    return model_from_path(config_in(quantization_config=quantization))[0]


def places(*layers: int, names: set[str] = ATTENTION) -> set[tuple[str, int]]:
    return {(name, layer) for name in names for layer in layers}


def size(model: Model) -> float:
    return float(checkpoint_bytes(model, published_scheme(model), number_formats()[model.torch_dtype]))


@pytest.mark.parametrize(
    ("quantization", "kept"),
    [
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.1.self_attn", "lm_head"]}, places(1)),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.0"]}, places(0, names=ATTENTION | MLP)),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.0.mlp.down_proj.weight"]}, places(0, names={"down_proj"})),
        ({"quant_method": "fp8", "modules_to_not_convert": ["gate"]}, set()),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "modules_to_not_convert": ["mlp"]}, places(0, 1, names=MLP)),
        ({"quant_method": "bitsandbytes", "llm_int8_skip_modules": ["down_proj"]}, places(0, 1, names={"down_proj"})),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["*layers.1.self_attn*"]}, places(1)),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "exclude_modules": ["*.qkv_proj"]}},
         places(0, 1, names={"q_proj", "k_proj", "v_proj"})),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32, "dynamic": {r"-:.*\.o_proj": {}}},
         places(0, 1, names={"o_proj"})),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"], "weights": WEIGHTS}},
          "ignore": ["re:.*self_attn.*", "lm_head"]}, places(0, 1)),
    ],
)  # fmt: skip
def test_modules_that_a_config_leaves_alone_stay_unquantized(
    config_in: IN, quantization: dict[str, Any], kept: set[tuple[str, int]]
):
    model = read(config_in, **quantization)
    assert {place for place, stored in model.stored_formats.items() if stored == "native"} == kept


def test_mlx_names_modules_with_a_shape_of_their_own(config_in: IN):
    model = read(config_in, bits=4, group_size=64, **{
        "model.layers.0.self_attn.v_proj": {"bits": 6, "group_size": 32}, "lm_head": {"bits": 8},
        "model.layers.1.mlp.down_proj": False, "model.layers.1.mlp.up_proj": True,
    })  # fmt: skip
    assert model.native_quantization == "mlx-4bit-g64"
    assert model.stored_formats == {
        ("v_proj", 0): "mlx-6bit-g32", ("lm_head", None): "mlx-8bit-g64", ("down_proj", 1): "native",
    }  # fmt: skip
    plain = read(config_in, bits=4, group_size=64)
    more = 64 * 32 * (6 + 1 - 4.5) + 64 * 100 * 4 + 128 * 64 * (16 - 4.5)
    assert size(model) - size(plain) == pytest.approx(more / 8)


def test_a_group_of_compressed_tensors_has_its_own_format(config_in: IN):
    groups = {
        "group_0": {"targets": ["Linear"], "weights": WEIGHTS},
        "group_1": {"targets": ["re:.*down_proj"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
    }
    model = read(config_in, quant_method="compressed-tensors", config_groups=groups, ignore=["lm_head"])
    assert model.stored_formats == dict.fromkeys(places(0, 1, names={"down_proj"}), "fp8-channel")


def test_a_head_that_no_list_names_is_quantized_by_compressed_tensors(config_in: IN):
    groups = {"group_0": {"targets": ["Linear"], "weights": WEIGHTS}}
    model = read(config_in, quant_method="compressed-tensors", config_groups=groups, ignore=[])
    assert model.stored_formats == {("lm_head", None): "w4a16-g128"}


def test_modelopt_names_the_format_of_every_layer_of_a_mix(config_in: IN):
    layers = {f"model.layers.{layer}.mlp.{name}": {"quant_algo": "NVFP4"} for layer in (0, 1) for name in MLP}
    layers["model.layers.0.self_attn.q_proj"] = {"quant_algo": "FP8"}
    model = read(config_in, quant_method="modelopt", quant_algo="MIXED_PRECISION", quantized_layers=layers)
    assert model.native_quantization == "nvfp4"
    assert model.stored_formats.pop(("q_proj", 0)) == "fp8"
    assert set(model.stored_formats) == places(0, 1) - {("q_proj", 0)}


def test_an_estimate_takes_the_formats_of_the_checkpoint(config_in: IN):
    kept = config_in(quantization_config={"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0"]})
    own = llmsizer.estimate(str(kept), "h100").memory.per_gpu.weights_bytes
    same = llmsizer.estimate(str(kept), "h100", quantization="fp8").memory.per_gpu.weights_bytes
    awq = llmsizer.estimate(str(kept), "h100", quantization="awq").memory.per_gpu.weights_bytes
    whole = llmsizer.estimate(str(config_in(quantization_config={"quant_method": "fp8"})), "h100").memory.per_gpu.weights_bytes
    layer = 2 * 64 * (64 + 32) + 3 * 64 * 128
    assert own == same == pytest.approx(whole + layer - 7 * 8)
    assert awq < own


def test_a_variant_is_not_stored_as_the_checkpoint_is(config_in: IN):
    folder = str(config_in(quantization_config={"quant_method": "fp8", "modules_to_not_convert": ["model.layers.1"]}))
    whole = llmsizer.estimate(folder, "h100", transform="prune:unstructured:0.5").memory.per_gpu.weights_bytes
    assert whole < llmsizer.estimate(folder, "h100").memory.per_gpu.weights_bytes


def test_names_that_fit_nothing_are_told(config_in: IN):
    model = read(config_in, quant_method="fp8", modules_to_not_convert=["visual.blocks", "model.layers.0.mixer.secret_proj"])
    assert "1 names" in model.notes
    assert "secret_proj" in model.notes


@pytest.mark.parametrize(
    ("quantization", "field"),
    [
        ({"quant_method": "fp8", "ignored_layers": "lm_head"}, "ignored_layers"),
        ({"quant_method": "fp8", "ignored_layers": ["re:("]}, "regular expression"),
        ({"quant_method": "fp8", "ignored_layers": ["re:(.*a)*$"]}, "repetitions"),
        ({"quant_method": "fp8", "ignored_layers": [f"*{n}" for n in range(1001)]}, "1,001 expressions"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {}}, "quantized_layers"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"]}}}, "weights"),
        ({"bits": 4, "group_size": 64, "lm_head": {"bits": 7, "group_size": 64}}, "mlx-7bit-g64"),
    ],
)
def test_exceptions_that_cannot_be_read_are_refused(config_in: IN, quantization: dict[str, Any], field: str):
    with pytest.raises(CatalogError, match=field):
        read(config_in, **quantization)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("mlp.gate", True), ("gate", True), ("model.layers.3", True), ("model.layers.4", False), ("gate_proj", False),
        ("re:.*mlp.gate$", True), ("re:mlp.gate", False), ("*gate*", True), ("model.layers.*.mlp", True),
        ("*.experts.*", False),
    ],
)  # fmt: skip
def test_a_pattern_means_a_module_by_whole_words(pattern: str, fits: bool):
    module = Module(Weight("router", Role.ROUTER, 8, 4), 3, ("mlp.gate", "mlp.router"))
    assert pattern_of(pattern).means(module) == fits


def test_published_sizes_of_quantized_checkpoints_are_met(catalog: llmsizer.Catalog):
    errors = {row.id: abs(row.error) for row in checkpoint_errors(catalog) if row.quantity == "checkpoint size, quantized"}
    assert len(errors) >= 37
    # Of one checkpoint no recipe is published (measurements/causes.yaml).
    assert {name for name, error in errors.items() if error >= 0.005} <= {"mlx-community/DeepSeek-V3.2-8bit"}


@pytest.mark.parametrize(
    ("name", "quantization", "kept"),
    [
        # Expressions that name dense and shared experts leave the routed ones alone, as Kimi-K2's do.
        ("moonshotai/Kimi-K2-Instruct", {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": {**WEIGHTS, "group_size": 32}}},
            "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"],
        }, set()),
        ("deepseek-ai/DeepSeek-V3", {
            "quant_method": "modelopt", "quant_algo": "NVFP4",
            "exclude_modules": ["lm_head", "*mlp.gate", "model.layers.61*", *(f"model.layers.{n}.self_attn*" for n in LAYERS)],
        }, {"q_a_proj", "kv_a_proj", "q_b_proj", "kv_b_proj", "o_proj"}),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", {
            "quant_method": "awq", "bits": 4, "group_size": 128,
            "modules_to_not_convert": ["linear_attn", "mlp.gate", "lm_head"],
        }, {"in_proj_qkvz", "out_proj"}),
    ],
)  # fmt: skip
def test_lists_of_published_checkpoints(catalog: llmsizer.Catalog, name: str, quantization: dict[str, Any], kept: set[str]):
    model = stored_as(catalog.model(name), quantization, "test")
    assert {weight for weight, _ in model.stored_formats} == kept
    assert set(model.stored_formats.values()) <= {"native"}
    assert "quantization_config" not in model.notes.removeprefix(catalog.model(name).notes)


def test_mlx_names_its_experts_otherwise(catalog: llmsizer.Catalog):
    shapes = {f"model.layers.{n}.mlp.switch_mlp.down_proj": {"bits": 6, "group_size": 64} for n in range(4)}
    model = stored_as(catalog.model("Qwen/Qwen3-30B-A3B"), {"bits": 4, "group_size": 64, **shapes}, "test")
    assert model.stored_formats == dict.fromkeys(places(*range(4), names={"experts.down_proj"}), "mlx-6bit-g64")
