"""Transforms give new models of the size that their spec says, or say why they cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmsizer
from llmsizer.blocks.attention import GroupedQuery
from llmsizer.catalog.transforms import transformed
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnsupportedCombination
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import lower, stack_elements, total_parameters


@pytest.fixture
def llama(catalog: llmsizer.Catalog) -> Model:
    return catalog.model("llama-3.1-8b")


def layers_of(model: Model) -> float:
    return sum(float(stack_elements(stack)) for stack in lower(model).layers)


def test_structured_pruning_takes_its_share(llama: Model):
    pruned = transformed(llama, "prune:structured:heads=0.25,ffn=0.25")
    attention = pruned.layers[0].attention
    assert isinstance(attention, GroupedQuery)
    assert (attention.num_attention_heads, attention.num_key_value_heads, attention.head_dim) == (24, 6, 128)
    norms = 2 * 32 * 4096
    assert layers_of(pruned) - norms == pytest.approx(0.75 * (layers_of(llama) - norms))
    assert pruned.id == llama.id + "+pruned(heads=0.25,ffn=0.25)"
    assert "Structured pruning" in pruned.notes
    assert llama.layers[0].attention != attention


def test_heads_go_group_by_group_or_out_of_each_group(llama: Model):
    attention = transformed(llama, "prune:structured:heads=0.75").layers[0].attention
    assert isinstance(attention, GroupedQuery)
    assert (attention.num_attention_heads, attention.num_key_value_heads) == (8, 2)
    with pytest.raises(UnsupportedCombination, match="unequal groups"):
        transformed(llama, "prune:structured:heads=0.0625")


def test_a_student_is_narrower_and_shallower(llama: Model):
    student = transformed(llama, "distill:width=0.5,depth=0.5")
    assert student.hidden_size == 2048
    assert student.num_hidden_layers == 16
    assert sorted(index for group in student.layers for index in group.indices) == list(range(16))
    norms = 2 * 16 * 2048
    assert layers_of(student) - norms == pytest.approx((layers_of(llama) - 2 * 32 * 4096) / 8)


def test_a_shallow_student_keeps_the_mix_of_layers(catalog: llmsizer.Catalog):
    gemma = catalog.model("google/gemma-3-27b-it")
    student = transformed(gemma, "distill:depth=0.5")
    assert student.num_hidden_layers == 31
    assert sum(group.count for group in student.layers) == 31
    assert len(student.layers) == len(gemma.layers)


def test_experts_and_layers_can_be_pruned(catalog: llmsizer.Catalog):
    mixtral = catalog.model("mixtral-8x7b")
    half = transformed(mixtral, "prune:structured:experts=0.5,layers=0.5")
    assert half.num_hidden_layers == 16
    assert float(total_parameters(half)) < 0.3 * float(total_parameters(mixtral))
    with pytest.raises(UnsupportedCombination, match="fewer than the 2"):
        transformed(mixtral, "prune:structured:experts=0.875")


def weights(**words: object) -> float:
    return float(llmsizer.estimate("llama-3.1-8b", "h100", **words).memory.per_gpu.weights_bytes)


def test_zeros_are_stored_unless_two_of_four():
    dense = weights()
    assert weights(transform="prune:unstructured:0.5") == dense
    matrices = 6_979_321_856 * 2
    assert weights(transform="prune:2:4") == pytest.approx(dense - matrices * (1 - 9 / 16), rel=1e-6)
    assert weights(transform="prune:2:4", quantization="fp8") < 0.72 * weights(quantization="fp8")


def test_what_a_transform_saves_is_noted():
    def notes(spec: str) -> str:
        return " ".join(llmsizer.estimate("llama-3.1-8b", "h100", transform=spec).to_dict()["notes"])

    assert "no effect on memory or speed" in notes("prune:unstructured:0.5")
    assert "timed as dense" in notes("prune:2:4 + distill:depth=0.5")


def test_transforms_join():
    assert weights(transform="prune:2:4 + distill:depth=0.5") < weights(transform="distill:depth=0.5") < weights()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("prune:unstructured:1.5", "between 0 and 1"), ("prune:unstructured:x", "between 0 and 1"), ("prune", "not known"),
        ("prine:2:4", "'prine:2:4' is not known"), ("prune:structured:hats=0.5", "cannot read 'hats=0.5'"),
        ("distill:width=nan", "between 0 and 1"), ("distill:width=0.5,width=0.5", "cannot read"), ("+", "cannot read"),
        ("distill:", "cannot read"),
    ],
)  # fmt: skip
def test_an_unreadable_spec_is_refused(spec: str, said: str, llama: Model):
    with pytest.raises(InvalidQuestion, match="--transform") as caught:
        transformed(llama, spec)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("name", "spec"),
    [("llama-3.1-8b", "prune:structured:heads=0.3"), ("llama-3.1-8b", "prune:structured:experts=0.5"),
     ("google/gemma-3n-E4B", "distill:width=0.5"), ("state-spaces/mamba-2.8b-hf", "prune:structured:heads=0.5"),
     ("llama-3.1-8b", "distill:depth=0.01")],
)  # fmt: skip
def test_an_impossible_transform_is_refused(name: str, spec: str, catalog: llmsizer.Catalog):
    with pytest.raises(UnsupportedCombination, match="--transform"):
        transformed(catalog.model(name), spec)


def test_gguf_has_no_sparse_matrices():
    with pytest.raises(UnsupportedCombination, match="GGUF"):
        llmsizer.estimate("llama-3.1-8b", "h100", engine="llama.cpp", quantization="Q4_K_M", transform="prune:2:4")


def test_a_device_without_sparse_units_is_told():
    for device in ("v100", "mi300x"):
        with pytest.raises(UnsupportedCombination, match="2:4 matrices are known") as caught:
            llmsizer.estimate("llama-3.1-8b", device, transform="prune:2:4")
        assert "prune:unstructured" in caught.value.hint


PARTS = st.sampled_from(["heads", "ffn", "experts", "layers"])
SHARES = st.sampled_from([0.125, 0.25, 0.5, 0.75])


@given(data=st.data(), parts=st.dictionaries(PARTS, SHARES, min_size=1), student=st.booleans(), share=SHARES)
def test_a_variant_is_smaller_or_refused(
    data: st.DataObject, parts: dict[str, float], student: bool, share: float, catalog: llmsizer.Catalog
):
    model = catalog.model(data.draw(st.sampled_from(catalog.names("models"))))
    structured = "prune:structured:" + ",".join(f"{name}={value}" for name, value in parts.items())
    try:
        variant = transformed(model, f"distill:width={share},depth={share}" if student else structured)
    except LlmsizerError:
        return
    assert float(total_parameters(variant)) < float(total_parameters(model))
    assert variant.num_hidden_layers == sum(group.count for group in variant.layers)
