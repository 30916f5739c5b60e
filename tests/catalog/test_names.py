"""Names: every alias means one thing, short names work, wrong names get the nearest right one."""

from __future__ import annotations

from collections import Counter

import pytest

import llmsizer
from llmsizer.catalog.formats import cache_formats, number_formats, quantization_scheme, scheme_names
from llmsizer.catalog.names import answers_of
from llmsizer.core.errors import UnknownName


@pytest.mark.parametrize("section", ["models", "accelerators", "cpus", "nodes"])
def test_ids_and_aliases_are_unique(section: str, catalog: llmsizer.Catalog):
    records = catalog.records[section]
    claimed = Counter(name.lower() for each in records for name in {each, *records[each].aliases})
    assert [name for name, count in claimed.items() if count > 1] == []


def test_devices_and_processors_do_not_share_names(catalog: llmsizer.Catalog):
    names = [name.lower() for section in ("accelerators", "cpus") for name in catalog.names(section)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("section", ["models", "accelerators"])
def test_every_id_and_alias_leads_to_its_entry(section: str, catalog: llmsizer.Catalog):
    look_up = catalog.model if section == "models" else catalog.accelerator
    for name in catalog.names(section):
        for typed in (name, name.upper(), f" {name} ", *catalog.records[section][name].aliases):
            assert look_up(typed).id == name, typed


@pytest.mark.parametrize("section", ["models", "nodes"])
def test_a_name_without_its_organisation_works(section: str, catalog: llmsizer.Catalog):
    """Where two organisations share a tail, the first entry that claims it by alias or order has it."""
    for name in catalog.names(section):
        tail = name.rsplit("/", 1)[-1]
        found = catalog.model(tail).id if section == "models" else catalog.node(tail).id
        assert found == name or tail.lower() in answers_of(found, catalog.records[section][found].aliases)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("Llama 3.1 8B", "meta-llama/Llama-3.1-8B"),
        ("llama_3.1_70b", "meta-llama/Llama-3.1-70B"),
        ("deepseek-r1", "deepseek-ai/DeepSeek-V3"),
        ("qwen3-32b", "Qwen/Qwen3-32B"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("gemma-3-27b", "google/gemma-3-27b-it"),
    ],
)
def test_short_names_of_models(typed: str, found: str, catalog: llmsizer.Catalog):
    assert catalog.model(typed).id == found


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("h100", "h100-sxm5-80gb"),
        ("H100", "h100-sxm5-80gb"),
        ("h200", "h200-sxm5-141gb"),
        ("a100", "a100-sxm4-80gb"),
        ("b200", "b200-sxm6"),
        ("4090", "rtx-4090"),
        ("mi300x", "mi300x"),
        ("v100", "v100-sxm2-32gb"),
    ],
)
def test_short_names_of_devices(typed: str, found: str, catalog: llmsizer.Catalog):
    assert catalog.accelerator(typed).id == found


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("lama-3.1-8b", "meta-llama/Llama-3.1-8B"),
        ("llama-3.1-9b", "meta-llama/Llama-3.1-8B"),
        ("deepseek-v33", "deepseek-ai/DeepSeek-V3"),
        ("qwen33-32b", "Qwen/Qwen3-32B"),
    ],
)
def test_wrong_models_get_suggestions(typed: str, near: str, catalog: llmsizer.Catalog):
    with pytest.raises(UnknownName) as caught:
        catalog.model(typed)
    assert near.lower() in [name.lower() for name in caught.value.near]
    assert "Did you mean" in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "near"), [("h1000", "h100"), ("l40ss", "l40s"), ("mi300", "mi300x"), ("rtx4090", "rtx-4090")]
)
def test_wrong_devices_get_suggestions_or_are_understood(typed: str, near: str, catalog: llmsizer.Catalog):
    understood: list[str] = []
    try:
        understood = [catalog.accelerator(typed).id]
    except UnknownName as error:
        understood = error.near
    assert any(near in name for name in understood)


@pytest.mark.parametrize(
    ("name", "flag"), [("me/some-model-awq", "-q awq"), ("me/some-model-GPTQ-Int4", "-q gptq"), ("x-gguf", "-q Q4_K_M")]
)
def test_a_quantized_checkpoint_names_the_flag(name: str, flag: str, catalog: llmsizer.Catalog):
    with pytest.raises(UnknownName) as caught:
        catalog.model(name)
    assert flag in str(caught.value)


def test_every_scheme_resolves_to_its_formats():
    assert len(scheme_names()) > 40
    for name in scheme_names():
        scheme = quantization_scheme(name)
        assert scheme.id
        assert {scheme.linear, *scheme.roles.values()} - {"native", "bf16", "fp16", "fp32"} <= set(scheme.formats)
        assert set(scheme.formats) <= set(number_formats())


@pytest.mark.parametrize(
    "name",
    [
        "bf16",
        "fp16",
        "fp8",
        "fp8_channel",
        "fp8_block",
        "int8",
        "int8wo",
        "llm.int8",
        "w4a16",
        "int4wo",
        "gptq-4bit-g128",
        "gptq",
        "gptq-3bit-nogroup",
        "awq-4bit-g128",
        "awq",
        "nf4",
        "nf4-dq",
        "mxfp4",
        "nvfp4",
        "mlx-4bit-g64",
        "mlx-mxfp4",
        "Q4_K_M",
        "Q8_0",
        "IQ4_XS",
        "F16",
        "q4_k_m",
    ],
)
def test_schemes_people_ask_for(name: str):
    assert quantization_scheme(name).id.lower().startswith(name.lower()[:3])


def test_wrong_schemes_get_suggestions():
    with pytest.raises(UnknownName) as caught:
        quantization_scheme("Q4_K_N")
    assert "Q4_K_M" in caught.value.near
    assert len(cache_formats()) >= 5
