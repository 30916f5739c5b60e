"""Any file laid over the catalog gives a catalog or an error that names the file: nothing else."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.core.errors import LlmsizerError

VALID = """\
sources: {lab: {title: a laboratory, date: "2026-01-02", tier: measured}}
accelerators:
  my-card: {name: My card, aliases: [mine], vendor: NVIDIA, architecture: ada, memory_type: GDDR6X, memory_capacity: 24 GiB,
            memory_bandwidth: {value: 1 TB/s, source: lab, note: x}, compute_capability: "8.9", peak_dense: {bf16: 100 TFLOP/s},
            native_dtypes: [bf16], units: 128, unverified: [units], source: lab}
  h100-sxm5-80gb: {memory_bandwidth: 3 TB/s, peak_dense: {fp8: 2 PFLOP/s}, link_domain: 8}
nodes: {my-box: {provider: me, accelerator: my-card, accelerators: 4, host_memory: 512 GiB}}
models:
  me/my-model:
    config: {model_type: qwen3_moe, num_hidden_layers: 4, hidden_size: 256, intermediate_size: 512, num_attention_heads: 4,
             num_key_value_heads: 2, head_dim: 64, vocab_size: 1000, num_experts: 8, num_experts_per_tok: 2,
             moe_intermediate_size: 128, tie_word_embeddings: true, max_position_embeddings: 4096, torch_dtype: bfloat16}
    checks: {total_parameters: 12, source: lab}
  meta-llama/Llama-3.1-8B: {aliases: [small], config: {num_hidden_layers: 16}}
prices: {my-price: {provider: me, instance: one, accelerator: my-card, accelerators: 4,
                    rates: [{market: on-demand, price: 4 USD/h, region: home, date: "2026-01-02", source: lab}]}}
"""
WORDS = [
    "", "0", "-1", "1", "1e309", "1e12", "nan", ".inf", "-.inf", "null", "true", "~", "[]", "{}", "[1, 2]", "{a: b}", "''",
    "80 GiB", "0 GiB", "-1 TB/s", "1e30 GiB", "9" * 400, "x" * 300, "!!binary aGk=", "!!set {a}", "&a [*a]", "*a",
    "<<: {a: 1}", "2026-01-02", "é", "\t", "- a", "{value: 1 GiB, source: lab}", "{value: [1]}",
    "{value: 1 GiB, source: 7}", "1_000", "0x10", "012", "1:30", ": ", "# x", "|", ">-", "'", '"',
]  # fmt: skip
SOME = settings(max_examples=150)


def use(path: Path) -> None:
    """Loads a file and asks of everything in it; an error must name the file or the question."""
    message, catalog = path.name, None
    try:
        catalog = llmsizer.load_catalog(path)
    except LlmsizerError as error:
        message = str(error)
    assert path.name in message
    assert len(message) < 3000
    if catalog is None:
        return
    for model, device in (("me/my-model", "my-card"), ("llama-3.1-8b", "h100")):
        with contextlib.suppress(LlmsizerError):
            llmsizer.estimate(model, device, catalog=catalog).to_dict()


def scalars(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [path, *(found for key, inner in node.items() for found in scalars(inner, (*path, key)))]
    if isinstance(node, list):
        return [path, *(found for index, inner in enumerate(node) for found in scalars(inner, (*path, index)))]
    return [path]


def with_changed(node: Any, path: tuple[Any, ...], change: str, value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    made = dict(node) if isinstance(node, dict) else list(node)
    if rest or change == "value":
        made[key] = with_changed(made[key], tuple(rest), change, value)
    elif change == "drop":
        del made[key]
    elif isinstance(made, dict):
        made[str(value)[:40]] = made.pop(key)
    return made


def test_the_file_is_valid(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(VALID)
    catalog = llmsizer.load_catalog(path)
    assert llmsizer.estimate("me/my-model", "mine", catalog=catalog).fits
    assert llmsizer.estimate("small", "h100", catalog=catalog).fits


@SOME
@given(st.data())
def test_changed_text(tmp_path: Path, data: st.DataObject):
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from([0, 1, 2, 5, 40])))
        text = text[:start] + data.draw(st.sampled_from([*WORDS, "\n", "  ", ",", "}", "]", ":", "-"])) + text[end:]
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    use(path)


@SOME
@given(st.data())
def test_changed_bytes(tmp_path: Path, data: st.DataObject):
    content = bytearray(VALID.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mine.yaml"
    path.write_bytes(bytes(content))
    use(path)


@settings(max_examples=200)
@given(st.data())
def test_changed_structure(tmp_path: Path, data: st.DataObject):
    """One value of a valid file replaced by another kind, dropped, or renamed."""
    import yaml

    tree = yaml.safe_load(VALID)
    where = data.draw(st.sampled_from([path for path in scalars(tree) if path]))
    change = data.draw(st.sampled_from(["value", "value", "drop", "rename"]))
    leaves = (
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
    )
    value = data.draw(
        st.recursive(
            leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
        )
    )
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(with_changed(tree, where, change, value), sort_keys=False), encoding="utf-8")
    use(path)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "section", ["accelerators", "models", "nodes", "cpus", "prices", "purchase_prices", "cost_assumptions", "sources"]
)
def test_a_section_of_another_kind(tmp_path: Path, section: str, word: str):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{section}: {word}\n", encoding="utf-8")
    use(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sources", "lab"), ["x"]),
        (("sources", "lab"), 7),
        (("sources", "lab", "tier"), "certain"),
        (("accelerators", "my-card", "name"), ""),
        (("accelerators", "my-card", "peak_dense"), {}),
        (("accelerators", "my-card", "peak_dense"), {"x": "1 TFLOP/s"}),
        (("accelerators", "my-card", "compute_capability"), "eight"),
        (("accelerators", "my-card", "unverified"), True),
        (("models", "me/my-model", "config"), {}),
        (("models", "meta-llama/Llama-3.1-8B", "config"), None),
        (("models", "meta-llama/Llama-3.1-8B", "config"), "x"),
        (("models", "meta-llama/Llama-3.1-8B", "config"), [1]),
    ],
    ids=str,
)
def test_facts_of_another_kind(tmp_path: Path, path: tuple[str, ...], value: Any):
    import yaml

    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(with_changed(yaml.safe_load(VALID), path, "value", value)), encoding="utf-8")
    use(file)
