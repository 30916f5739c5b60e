"""A config.json or a model folder gives the model it describes, or says what is wrong and where."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.catalog.model_files import is_model_path, model_from_path
from llmsizer.core.errors import CatalogError, LlmsizerError
from llmsizer.sizing.lowering import total_parameters

from .conftest import CONFIG, llama_tensors, write_safetensors

IN = Callable[..., Path]


def all_models() -> list[str]:
    return llmsizer.load_catalog().names("models")


@pytest.mark.parametrize("name", all_models())
def test_the_config_of_every_model_reads_back(name: str, catalog: llmsizer.Catalog, tmp_path: Path):
    known = catalog.model(name)
    config = catalog.records["models"][name].data["config"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    read, scheme = model_from_path(file)
    assert scheme is None
    assert total_parameters(read) == total_parameters(known)
    assert read.native_quantization == known.native_quantization
    assert read.layers == known.layers


@pytest.mark.parametrize("text", ["./x", "/a/b", "~/m", "CONFIG.JSON", "x.gguf", "model.safetensors.index.json"])
def test_paths(text: str):
    assert is_model_path(text)


@pytest.mark.parametrize("text", ["llama-3.1-8b", "meta-llama/Llama-3.1-8B", "a/" + "b" * 5000, "a/\0", ""])
def test_names(text: str):
    assert not is_model_path(text)


def test_a_folder_is_named_after_itself(config_in: IN):
    assert model_from_path(config_in())[0].id == "my-model"


def test_a_hub_cache_gives_the_hub_name(tmp_path: Path):
    folder = tmp_path / "models--org--name" / "snapshots" / "0a1b2c"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    assert model_from_path(folder)[0].id == "org/name"


def test_an_estimate_takes_a_path(config_in: IN):
    folder = config_in()
    assert llmsizer.estimate(str(folder), "h100").fits
    estimate = llmsizer.estimate(folder / "config.json", "h100")
    assert estimate.to_dict()["question"]["model"] == str(folder / "config.json")  # as typed


def refused(path: Path) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        model_from_path(path)
    assert str(path.name) in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"hidden_size": None}, "hidden_size", "missing"),
        ({"hidden_size": "64"}, "hidden_size", "whole number"),
        ({"num_hidden_layers": -1}, "num_hidden_layers", "from 1"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers", "from 1"),
        ({"num_key_value_heads": 3}, "num_key_value_heads", "does not divide"),
        ({"torch_dtype": "int3"}, "torch_dtype", "unknown type"),
        ({"model_type": "llamo", "architectures": ["LlamoForCausalLM"]}, "model_type", "'llamo' is not supported"),
        ({"quantization_config": {"quant_method": "secret"}}, "quant_method", "'secret'"),
    ],
)
def test_a_wrong_field_is_named(config_in: IN, changes: dict[str, Any], field: str, said: str):
    error = refused(config_in(**changes) / "config.json")
    assert field in error.message
    assert said in error.message


def test_an_error_names_the_line(config_in: IN):
    error = refused(config_in(num_key_value_heads=3) / "config.json")
    assert error.line == 10
    assert "config.json:10: num_key_value_heads" in error.message


def test_an_unknown_architecture_names_the_nearest(config_in: IN):
    assert "llama" in refused(config_in(model_type="llamo", architectures=None) / "config.json").hint


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": ' * 5000, "\xff\xfe", "null", '{"hidden_size": ' + "9" * 5000 + "}"])
def test_no_json_mapping_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("latin-1"))
    refused(file)


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "no such" in refused(tmp_path / "nothing.json").message
    assert "no config.json" in refused(tmp_path).message


def test_a_folder_of_gguf_files_says_so(tmp_path: Path):
    (tmp_path / "model-Q4_K_M.gguf").touch()
    assert "model-Q4_K_M.gguf" in refused(tmp_path).hint


def test_the_quantization_of_a_checkpoint_is_read(config_in: IN):
    folder = config_in(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True})
    assert model_from_path(folder)[0].native_quantization == "gptq-4bit-g128"


MLX = {"group_size": 64, "bits": 4}


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [({"quantization": MLX}, "mlx-4bit-g64"), ({"quantization": MLX, "quantization_config": MLX}, "mlx-4bit-g64"),
     ({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}}, "mlx-mxfp4")],
)  # fmt: skip
def test_mlx_names_no_method(config_in: IN, changes: dict[str, Any], scheme: str):
    folder = config_in(**changes)
    write_safetensors(folder / "model.safetensors", {"w": ("U32", [4096])}, bits=32)
    assert model_from_path(folder)[0].native_quantization == scheme


@pytest.mark.parametrize(
    ("file", "content", "scheme"),
    [("hf_quant_config.json", {"producer": {}, "quantization": {"quant_algo": "NVFP4"}}, "nvfp4"),
     ("quantize_config.json", {"bits": 4, "group_size": 128, "desc_act": True}, "gptq-4bit-g128"),
     ("quant_config.json", {"w_bit": 4, "q_group_size": 128, "zero_point": True}, "awq-4bit-g128")],
)  # fmt: skip
def test_a_file_beside_tells_the_quantization(config_in: IN, file: str, content: dict[str, Any], scheme: str):
    folder = config_in()
    assert model_from_path(folder)[0].native_quantization == "bf16"
    (folder / file).write_text(json.dumps(content))
    for path in (folder, folder / "config.json"):
        model, _ = model_from_path(path)
        assert model.native_quantization == scheme
        assert file in model.notes
    (folder / file).write_text("[]")
    refused_by(folder, file)


def refused_by(folder: Path, file: str) -> None:
    with pytest.raises(CatalogError, match=file):
        model_from_path(folder)


@pytest.mark.parametrize("name", ["m.gguf", "model.safetensors", "config.json"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert "not a regular file" in refused(tmp_path / name).message


def test_a_header_that_would_fill_the_memory_is_refused(config_in: IN):
    body = b'{"a":[' + b"[]," * 3_000_000 + b"[]]}"
    file = config_in() / "model.safetensors"
    file.write_bytes(len(body).to_bytes(8, "little") + body)
    assert "more than 3,000,000 entries" in refused(file).message


def test_heads_that_do_not_divide_the_width_are_refused(tmp_path: Path, catalog: llmsizer.Catalog):
    for name, part in (("openai/whisper-large-v3", None), ("google/gemma-3-27b-it", "vision_config")):
        config = json.loads(json.dumps(catalog.records["models"][name].data["config"]))
        (config[part] if part else config)["num_attention_heads"] = 10**6
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(CatalogError, match="1000000 heads do not divide"):
            model_from_path(tmp_path)


def test_headers_count_the_parameters(config_in: IN):
    folder = config_in(torch_dtype=None)
    write_safetensors(folder / "model.safetensors", llama_tensors("F16"))
    model, _ = model_from_path(folder)
    assert model.torch_dtype == "fp16"
    assert model.checks.total_parameters == total_parameters(model)


def _sharded(folder: Path, present: int = 2) -> Path:
    tensors = list(llama_tensors().items())
    halves = [dict(tensors[:9]), dict(tensors[9:])]
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name, half in list(zip(names, halves, strict=True))[:present]:
        write_safetensors(folder / name, half)
    weight_map = {tensor: name for name, half in zip(names, halves, strict=True) for tensor in half}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 167_552}, "weight_map": weight_map}))
    return index


def test_an_index_counts_all_its_files(config_in: IN):
    index = _sharded(config_in())
    for path in (index, index.parent, index.parent / "model-00001-of-00002.safetensors"):
        model, _ = model_from_path(path)
        assert model.checks.total_parameters == total_parameters(model)


def test_an_index_without_files_is_enough(config_in: IN):
    model, _ = model_from_path(_sharded(config_in(), present=0))
    assert model.checks.total_parameters is None


def test_an_index_names_a_missing_file(config_in: IN):
    assert "model-00002-of-00002" in refused(_sharded(config_in(), present=1)).message


def test_headers_need_their_config(tmp_path: Path):
    file = write_safetensors(tmp_path / "model.safetensors", llama_tensors())
    assert "config.json" in refused(file).message


def test_quantized_headers_need_a_quantization_config(config_in: IN):
    folder = config_in()
    write_safetensors(folder / "model.safetensors", {"w": ("F8_E4M3", [4096])}, bits=8)
    with pytest.raises(CatalogError, match="quantization_config"):
        model_from_path(folder)


@pytest.mark.parametrize("damage", ["empty", "short", "long length", "cut data", "no json", "wrong size"])
def test_damaged_headers_are_refused(config_in: IN, damage: str):
    file = write_safetensors(config_in() / "model.safetensors", llama_tensors())
    content = file.read_bytes()
    changed = {
        "empty": b"", "short": content[:4], "long length": (2**62).to_bytes(8, "little") + content[8:],
        "cut data": content[:-1], "no json": content[:8] + b"x" * (len(content) - 8),
        "wrong size": content.replace(b"[100, 64]", b"[100, 65]"),
    }[damage]  # fmt: skip
    file.write_bytes(changed)
    refused(file)


def only_our_errors(path: Path) -> None:
    try:
        model, _ = model_from_path(path)
        float(total_parameters(model))
    except LlmsizerError:
        pass


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["full_attention", "auto", "rope", "layer"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300)
@given(data=st.data())
def test_no_config_gives_a_traceback(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, catalog: llmsizer.Catalog):
    name = data.draw(st.sampled_from(catalog.names("models")))
    config = json.loads(json.dumps(catalog.records["models"][name].data["config"]))
    inner = [key for key, value in config.items() if isinstance(value, dict)]
    target = config[data.draw(st.sampled_from(inner))] if inner and data.draw(st.booleans()) else config
    for key in data.draw(st.lists(st.sampled_from(sorted(target)), min_size=1, max_size=3, unique=True)):
        target[key] = data.draw(VALUES)
    file = tmp_path_factory.getbasetemp() / "config.json"
    file.write_text(json.dumps(config))
    only_our_errors(file)


@settings(max_examples=300)
@given(where=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.integers(0, 4000) | st.none())
def test_no_header_gives_a_traceback(where: int, byte: int, cut: int | None, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    file = write_safetensors(folder / "model.safetensors", llama_tensors())
    content = bytearray(file.read_bytes())
    content[where] = byte
    file.write_bytes(bytes(content[:cut]))
    only_our_errors(file)
