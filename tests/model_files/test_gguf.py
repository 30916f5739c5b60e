"""A GGUF file gives the model its metadata describe, at exactly the bytes its tensors take."""

from __future__ import annotations

import builtins
import struct
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Q
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.blocks.attention import GroupedQuery, Latent
from llmsizer.catalog.formats import number_formats
from llmsizer.catalog.model_files import model_from_path
from llmsizer.core.errors import CatalogError, LlmsizerError, UnsupportedCombination
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme
from llmsizer.sizing.lowering import total_parameters
from llmsizer.sizing.weights import checkpoint_bytes

from .gguf_samples import SAMPLES, llama, qwen3moe


def weights(model: Model, scheme: QuantizationScheme | None) -> float:
    assert scheme is not None
    return float(checkpoint_bytes(model, scheme, number_formats()[model.torch_dtype]))


@pytest.mark.parametrize("name", SAMPLES)
def test_weights_take_the_bytes_of_the_tensors(name: str, tmp_path: Path):
    sample = SAMPLES[name]()
    model, scheme = model_from_path(sample.write(tmp_path / "m.gguf"))
    assert weights(model, scheme) == pytest.approx(sample.bytes(), abs=0.01)
    assert float(total_parameters(model)) == sample.elements()
    assert scheme is not None
    assert (scheme.id, scheme.is_gguf) == ("Q4_K_M", True)


def test_the_layers_are_those_of_the_architecture(tmp_path: Path):
    gemma, _ = model_from_path(SAMPLES["gemma3"]().write(tmp_path / "gemma.gguf"))
    windows = {
        group.count: group.attention.sliding_window for group in gemma.layers if isinstance(group.attention, GroupedQuery)
    }
    assert windows == {5: 512, 1: None}
    assert gemma.tie_word_embeddings
    deepseek, _ = model_from_path(SAMPLES["deepseek2"]().write(tmp_path / "deepseek.gguf"))
    attention = deepseek.layers[0].attention
    assert isinstance(attention, Latent)
    assert (attention.kv_lora_rank, attention.qk_nope_head_dim, attention.qk_rope_head_dim, attention.v_head_dim) == (
        256,
        128,
        64,
        128,
    )
    assert [group.count for group in deepseek.layers] == [1, 2]


def test_an_estimate_runs_on_llama_cpp(tmp_path: Path):
    sample = qwen3moe()
    file = sample.write(tmp_path / "moe.gguf")
    estimate = llmsizer.estimate(file, "rtx-4090", input_tokens=64, output_tokens=16)
    assert estimate.question["engine"].startswith("llama.cpp")
    held = float(estimate.memory.per_gpu.weights_bytes)
    embedding = 300 * 256 // 256 * 144
    assert held == pytest.approx(sample.bytes() - embedding, rel=0.01)
    assert "moe" in estimate.explain("memory.per_gpu.weights_bytes").lower()


def test_a_split_file_is_read_whole(tmp_path: Path):
    sample, whole = llama(), llama().bytes()
    names = list(sample.tensors)
    for part, held in enumerate((names[:10], names[10:]), 1):
        piece = llama()
        piece.tensors = {name: sample.tensors[name] for name in held}
        piece.write(tmp_path / f"m-Q4-0000{part}-of-00002.gguf")
    model, scheme = model_from_path(tmp_path / "m-Q4-00001-of-00002.gguf")
    assert model.id == "m-Q4"
    assert weights(model, scheme) == pytest.approx(whole, abs=0.01)
    (tmp_path / "m-Q4-00002-of-00002.gguf").unlink()
    with pytest.raises(CatalogError, match="lacks 1 of its 2 parts"):
        model_from_path(tmp_path / "m-Q4-00001-of-00002.gguf")


def test_tensors_that_disagree_are_named(tmp_path: Path):
    sample = llama()
    sample.tensors["blk.1.attn_q.weight"] = ((256, 512), Q.Q4_K)
    with pytest.raises(CatalogError, match=r"blk\.1\.attn_q\.weight: holds 131,072 elements, but the metadata imply 65,536"):
        model_from_path(sample.write(tmp_path / "m.gguf"))
    del sample.tensors["blk.1.attn_q.weight"]
    with pytest.raises(CatalogError, match="no tensor for q_proj in layer 1"):
        model_from_path(sample.write(tmp_path / "n.gguf"))


def test_an_unknown_architecture_names_the_nearest(tmp_path: Path):
    sample = llama()
    sample.architecture = "lama"
    with pytest.raises(CatalogError, match="'lama' is not supported") as caught:
        model_from_path(sample.write(tmp_path / "m.gguf"))
    assert "llama" in caught.value.hint


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = llama().write(tmp_path / "m.gguf")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("gguf"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedCombination) as caught:
        model_from_path(file)
    assert "llmsizer[gguf]" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GGUF", b"GGML" + b"\0" * 40, b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack(">IQQ", 3, 1, 1), b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**63) + b"key",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 2**40) + b"\0" * 64,
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 9, 1) + b"\0" * 64,
    ],
    ids=["empty", "magic only", "other magic", "tensors", "keys", "big-endian", "key length", "texts", "nested"],
)  # fmt: skip
def test_damaged_heads_are_refused(content: bytes, tmp_path: Path):
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    with pytest.raises(CatalogError, match=r"m\.gguf"):
        model_from_path(file)


def test_a_cut_file_is_refused(tmp_path: Path):
    file = llama().write(tmp_path / "m.gguf")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(CatalogError, match="ends before its tensor"):
        model_from_path(file)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return SAMPLES["deepseek2"]().write(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


@settings(max_examples=300)
@given(
    changes=st.lists(st.tuples(st.integers(0, 25_000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 60_000),
    near_front=st.booleans(),
)
def test_no_bytes_give_a_traceback(
    changes: list[tuple[int, int]], cut: int | None, near_front: bool, head: bytes, tmp_path_factory: pytest.TempPathFactory
):
    content = bytearray(head)
    for where, byte in changes:
        content[where % 1200 if near_front else where % len(content)] = byte
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.write_bytes(bytes(content[:cut]))
    try:
        model, scheme = model_from_path(file)
        weights(model, scheme)
    except LlmsizerError:
        pass
