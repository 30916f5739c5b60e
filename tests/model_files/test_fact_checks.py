"""A mistake in the files of formats, schemes and engines is told with its file, line and field."""

from __future__ import annotations

import pytest

from llmsizer.catalog.fact_checks import FILES, check_documents
from llmsizer.catalog.package_data import package_file
from llmsizer.core.errors import CatalogError
from llmsizer.core.yaml import load_text

TEXTS = {name: package_file(name).read_text(encoding="utf-8") for name in FILES}


def check(name: str, before: str, after: str) -> None:
    assert before in TEXTS[name]
    texts = TEXTS | {name: TEXTS[name].replace(before, after, 1)}
    check_documents({each: load_text(text, each) for each, text in texts.items()})


def test_the_files_of_the_package_pass():
    check("engines.yaml", "", "")


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("number_formats.yaml", "{bits: 32, compute: fp32, source: ieee}", "{bit: 32, compute: fp32, source: ieee}", "fp32"),
        ("number_formats.yaml", "compute: bf16, source: ieee", "compute: bf16, source: iee", "unknown source 'iee'"),
        ("number_formats.yaml", "fallback: IQ4_NL", "fallback: IQ4_LN", "unknown number format 'IQ4_LN'"),
        ("number_formats.yaml", "{bits: 16, compute: fp16", "{bits: many, compute: fp16", "formats.fp16.bits"),
        ("number_formats.yaml", "half: fp16", "half: fp17", "unknown cache format 'fp17'"),
        ("quantization_schemes.yaml", "{linear: fp8-block, ", "{lineal: fp8-block, ", "unknown field 'lineal'"),
        ("quantization_schemes.yaml", "{linear: fp8-block, ", "{linear: fp8-blok, ", "unknown number format 'fp8-blok'"),
        ("quantization_schemes.yaml", "roles: {expert: w4a16-g32}", "roles: {experts: w4a16-g32}", "unknown role 'experts'"),
        (
            "quantization_schemes.yaml",
            "fp8: {linear: fp8, source: hf}",
            "fp8: {linear: fp8, source: hg}",
            "unknown source 'hg'",
        ),
        ("quantization_schemes.yaml", "Q4_0: {default: Q4_0}", "Q4_0: {defualt: Q4_0}", "unknown field 'defualt'"),
        (
            "quantization_schemes.yaml",
            "tensor: v, if: gqa4, format: Q4_K",
            "tensor: v, if: gqa4, fromat: Q4_K",
            "unknown field 'fromat'",
        ),
        ("engines.yaml", "    kv_layout: paged\n", "    kv_layuot: paged\n", "unknown field 'kv_layuot'"),
        ("engines.yaml", "      block_size: 16\n", "      blok_size: 16\n", "unknown engine fact 'blok_size'"),
        (
            "engines.yaml",
            "value: 26.1 ms, source: speed-rows",
            "value: 40.5 ms, source: sped-rows",
            "unknown source 'sped-rows'",
        ),
        ("engines.yaml", "value: 26.1 ms, source: speed-rows", "value: 26.1 GiB, source: speed-rows", "front_end"),
        (
            "engines.yaml",
            "{value: 26.1 ms, source: speed-rows}",
            "{vlaue: 26.1 ms, source: speed-rows}",
            "unknown field 'vlaue'",
        ),
        ("engines.yaml", "default_source: vllm\n", "default_source: vlm\n", "unknown source 'vlm'"),
    ],
)
def test_a_mistake_is_located(name: str, before: str, after: str, said: str):
    with pytest.raises(CatalogError) as caught:
        check(name, before, after)
    assert said in caught.value.message
    assert caught.value.file == name
    assert caught.value.line
