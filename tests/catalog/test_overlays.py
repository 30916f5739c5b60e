"""A user's files laid over the catalog: from four places, one fact or a whole entry, every mistake with its line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import llmsizer
from llmsizer.core.errors import CatalogError, InvalidQuestion, UnknownName

Overlay = Callable[..., llmsizer.Catalog]

H100 = "accelerators: {h100-sxm5-80gb: {memory_bandwidth: %s}}\n"
NEW_DEVICE = """\
accelerators:
  my-card:
    name: My card
    aliases: [mine]
    vendor: NVIDIA
    architecture: ada
    memory_type: GDDR6X
    memory_capacity: 24 GiB
    memory_bandwidth: 1e12 B/s
    compute_capability: "8.9"
    peak_dense: {bf16: 100 TFLOP/s, fp16: 100 TFLOP/s}
    native_dtypes: [bf16, fp16]
"""
NEW_MODEL = """\
models:
  me/my-model:
    aliases: [my-model]
    config: {model_type: llama, num_hidden_layers: 2, hidden_size: 256, intermediate_size: 512, num_attention_heads: 4,
             num_key_value_heads: 2, vocab_size: 1000, tie_word_embeddings: false, max_position_embeddings: 4096,
             torch_dtype: bfloat16}
"""


def bandwidth(catalog: llmsizer.Catalog) -> float:
    return float(catalog.accelerator("h100").memory_bandwidth)


def test_a_file(overlay: Overlay):
    assert bandwidth(overlay(H100 % "1 TB/s")) == 1e12


def test_a_folder_applies_in_the_order_of_names(tmp_path: Path):
    (tmp_path / "b.yml").write_text(H100 % "2 TB/s")
    (tmp_path / "a.yaml").write_text(H100 % "1 TB/s")
    (tmp_path / "c.txt").write_text("no YAML: [")
    catalog = llmsizer.load_catalog(tmp_path)
    assert bandwidth(catalog) == 2e12
    assert [Path(path).name for path in catalog.overlays] == ["a.yaml", "b.yml"]


def test_several_paths_apply_in_their_order(tmp_path: Path):
    for name, rate in (("x", "1 TB/s"), ("y", "2 TB/s")):
        (tmp_path / name).write_text(H100 % rate)
    assert bandwidth(llmsizer.load_catalog([tmp_path / "x", str(tmp_path / "y")])) == 2e12
    assert bandwidth(llmsizer.load_catalog([tmp_path / "y", tmp_path / "x"])) == 1e12


def test_the_environment_and_the_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "llmsizer" / "catalog"
    folder.mkdir(parents=True)
    (folder / "user.yaml").write_text(H100 % "1 TB/s")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert bandwidth(llmsizer.load_catalog()) == 1e12
    environment, given = tmp_path / "environment.yaml", tmp_path / "given.yaml"
    environment.write_text(H100 % "2 TB/s" + NEW_DEVICE.replace("accelerators:", "cpus: {}\n#"))
    environment.write_text(H100 % "2 TB/s")
    monkeypatch.setenv("LLMSIZER_CATALOG", os.pathsep.join(["", str(environment)]))
    assert bandwidth(llmsizer.load_catalog()) == 2e12
    given.write_text(H100 % "4 TB/s")
    catalog = llmsizer.load_catalog(given)
    assert bandwidth(catalog) == 4e12
    assert len(catalog.overlays) == 3
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("LLMSIZER_CATALOG")
    assert llmsizer.load_catalog().overlays == ()


def test_a_changed_file_is_read_again(overlay: Overlay):
    assert bandwidth(overlay(H100 % "1 TB/s")) == 1e12
    assert bandwidth(overlay(H100 % "1.25 TB/s")) == 1.25e12


def test_the_built_in_catalog_is_left_alone(overlay: Overlay, catalog: llmsizer.Catalog):
    before = bandwidth(catalog)
    overlay(H100 % "1 TB/s")
    assert bandwidth(catalog) == before
    assert bandwidth(llmsizer.load_catalog()) == before


def test_one_fact_overridden_is_told_as_such(overlay: Overlay, catalog: llmsizer.Catalog):
    changed = overlay(H100 % "1 TB/s").accelerator("h100")
    plain = catalog.accelerator("h100")
    assert "override in" in changed.provenance.of("memory_bandwidth").title
    assert "mine.yaml" in changed.provenance.of("memory_bandwidth").title
    assert changed.provenance.of("memory_capacity") == plain.provenance.of("memory_capacity")
    assert changed.usable_memory == plain.usable_memory
    assert changed.aliases == plain.aliases


def test_an_override_shows_in_the_derivation(overlay: Overlay):
    with_more = overlay("accelerators: {h100-sxm5-80gb: {usable_memory: 60 GiB}}")
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", catalog=with_more)
    assert estimate.to_dict()["memory"]["per_gpu"]["capacity_bytes"] == 60 * 2**30
    assert "override in" in estimate.explain("memory.per_gpu.capacity_bytes")
    assert "mine.yaml" in estimate.explain("memory.per_gpu.unused_bytes")


def test_a_capacity_overridden_scales_what_is_usable(overlay: Overlay, catalog: llmsizer.Catalog):
    half = overlay("accelerators: {h100-sxm5-80gb: {memory_capacity: 40 GiB}}").accelerator("h100")
    assert half.usable_memory == pytest.approx(float(catalog.accelerator("h100").usable_memory) / 2)


def test_one_entry_of_a_mapping_overridden(overlay: Overlay, catalog: llmsizer.Catalog):
    changed = overlay("accelerators: {h100-sxm5-80gb: {peak_dense: {fp8: 1 PFLOP/s}}}").accelerator("h100")
    plain = catalog.accelerator("h100")
    assert dict(changed.peak_dense) == {**plain.peak_dense, "fp8": 1e15}
    assert "override in" in changed.provenance.of("peak_dense.fp8").title
    assert "override in" not in changed.provenance.of("peak_dense.bf16").title


def test_a_fact_may_bring_its_own_source(overlay: Overlay):
    text = """\
sources: {lab: {title: our own measurement, date: "2026-01-02", tier: measured}}
accelerators:
  h100-sxm5-80gb:
    memory_bandwidth: {value: 3 TB/s, source: lab, note: with ECC}
"""
    source = overlay(text).accelerator("h100").provenance.of("memory_bandwidth")
    assert (source.title, source.date, source.tier) == ("our own measurement", "2026-01-02", "measured")


def test_a_model_override_changes_the_count(overlay: Overlay, catalog: llmsizer.Catalog):
    half = overlay("models: {meta-llama/Llama-3.1-8B: {config: {num_hidden_layers: 16}}}")
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", catalog=half)
    plain = llmsizer.estimate("llama-3.1-8b", "h100", catalog=catalog)
    assert estimate.memory.kv_bytes_per_token_per_gpu == 65536
    assert estimate.memory.per_gpu.weights_bytes < plain.memory.per_gpu.weights_bytes
    assert "override in" in half.model("llama-3.1-8b").provenance.of("num_hidden_layers").title
    assert "override in" in estimate.explain("memory.kv_bytes_per_token_per_gpu")


def test_new_entries(overlay: Overlay):
    catalog = overlay(NEW_DEVICE + NEW_MODEL)
    device = catalog.accelerator("MINE")
    assert (device.id, device.memory_bandwidth) == ("my-card", 1e12)
    assert "mine.yaml" in device.provenance.of("memory_bandwidth").title
    assert device.provenance.of("usable_memory").tier == "assumed"
    estimate = llmsizer.estimate("my-model", "mine", catalog=catalog)
    assert estimate.fits
    assert estimate.memory.kv_bytes_per_token_per_gpu == 2 * 2 * 2 * 64 * 2
    assert "mine.yaml" in estimate.explain("memory.per_gpu.weights_bytes")


def test_a_catalog_may_be_given_as_a_path(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(NEW_MODEL)
    assert llmsizer.estimate("my-model", "h100", catalog=tmp_path / "mine.yaml").fits
    assert llmsizer.estimate("my-model", "h100", catalog=[str(tmp_path)]).fits


def test_numbers_are_read_as_written(overlay: Overlay):
    catalog = overlay(NEW_MODEL.replace("vocab_size: 1000", "vocab_size: 1e3").replace("4096", "4_096"))
    model = catalog.model("my-model")
    assert (model.vocab_size, model.max_position_embeddings) == (1000, 4096)


NODE = "nodes: {my-box: {provider: me, accelerator: %s, accelerators: %s}}\n"


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        (
            "accelerators:\n  h100-sxm5-80gb:\n    memory_bandwidth: 1e12",
            3,
            "accelerators.h100-sxm5-80gb.memory_bandwidth",
            "unit",
        ),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    memory_bandwidth: 80 GiB",
            3,
            "accelerators.h100-sxm5-80gb.memory_bandwidth",
            "byte/second",
        ),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    memory_bandwith: 1 TB/s",
            3,
            "accelerators.h100-sxm5-80gb.memory_bandwith",
            "Did you mean: memory_bandwidth",
        ),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    memory_bandwidth: 0 TB/s",
            3,
            "accelerators.h100-sxm5-80gb.memory_bandwidth",
            "positive",
        ),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    memory_bandwidth: -1 TB/s",
            3,
            "accelerators.h100-sxm5-80gb.memory_bandwidth",
            "positive",
        ),
        ("accelerators:\n  h100-sxm5-80gb:\n    year: soon", 3, "accelerators.h100-sxm5-80gb.year", "integer"),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    peak_dense:\n      bf16: 1",
            4,
            "accelerators.h100-sxm5-80gb.peak_dense.bf16",
            "unit",
        ),
        ("accelerators:\n  h100-sxm5-80gb: 80", 2, "accelerators.h100-sxm5-80gb", "expected a mapping"),
        ("accelerators:\n- h100", 1, "accelerators", "expected a mapping"),
        ("acelerators: {}", 1, "acelerators", "Did you mean: accelerators"),
        ("accelerators:\n  new: {name: x}", 2, "accelerators.new", "is missing"),
        (
            "accelerators:\n  h100-sxm5-80gb:\n    units: {value: 132, source: nobody}",
            3,
            "accelerators.h100-sxm5-80gb.units",
            "unknown source 'nobody'",
        ),
        ("accelerators:\n  a: {name: x}\n  a: {name: y}", 3, "accelerators", "duplicate key 'a' (first on line 2)"),
        ("models:\n  me/x:\n    config:\n      model_type: lama", 4, "models.me/x.config.model_type", "llama"),
        (
            "sources: {x: {title: y, tier: certain}}\naccelerators:\n  h100-sxm5-80gb:\n    units: {value: 132, source: x}",
            1,
            "sources.x.tier",
            "specified",
        ),
        ("models:\n  me/x: {confg: {}}", 2, "models.me/x", ""),
        (
            "models:\n  meta-llama/Llama-3.1-8B:\n    config:\n      num_hidden_layers: many",
            4,
            "models.meta-llama/Llama-3.1-8B.config.num_hidden_layers",
            "number",
        ),
        (
            "models:\n  meta-llama/Llama-3.1-8B:\n    config:\n      num_hidden_layers: -1",
            4,
            "models.meta-llama/Llama-3.1-8B.config.num_hidden_layers",
            "",
        ),
        ("models:\n  1: {config: {}}", 2, "models[1]", "expected a name"),
        ("5", 1, "", "expected a mapping"),
        ("true", 1, "", "expected a mapping"),
        ("just text", 1, "", "expected a mapping"),
        ("- 1\n- 2", 1, "", "expected a mapping"),
    ],
)
def test_mistakes_name_line_and_field(overlay: Overlay, text: str, line: int, field: str, message: str):
    with pytest.raises(CatalogError) as caught:
        overlay(text)
    told = str(caught.value)
    assert message in told
    assert "mine.yaml:" in told
    assert caught.value.line == line
    assert field.endswith(caught.value.field) or caught.value.field.startswith(field)


def test_an_empty_overlay_changes_nothing(overlay: Overlay, catalog: llmsizer.Catalog):
    for text in ("", "# nothing\n", "accelerators:\n", "models: {}\n"):
        assert overlay(text).names("models") == catalog.names("models")


def test_a_path_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CatalogError, match="no such file or folder"):
        llmsizer.load_catalog(tmp_path / "none.yaml")
    monkeypatch.setenv("LLMSIZER_CATALOG", str(tmp_path / "none.yaml"))
    with pytest.raises(CatalogError, match="LLMSIZER_CATALOG"):
        llmsizer.load_catalog()


def test_devices_of_several_sizes(catalog: llmsizer.Catalog):
    assert catalog.accelerator("m2-ultra@64GiB").memory_capacity == 64 * 2**30
    with pytest.raises(InvalidQuestion, match="80 GiB"):
        catalog.accelerator("h100@96GiB")
    processor = catalog.names("cpus")[0]
    assert catalog.accelerator(f"{processor}@256GiB").memory_capacity == 256 * 2**30
    with pytest.raises(InvalidQuestion, match="how much memory"):
        catalog.accelerator(processor)


@pytest.mark.parametrize(
    "name", ["m2-ultra@64", "m2-ultra@64 s", "m2-ultra@0 GiB", "m2-ultra@-1 GiB", "m2-ultra@x", "@", "@64GiB"]
)
def test_sizes_that_are_none(name: str, catalog: llmsizer.Catalog):
    with pytest.raises(llmsizer.LlmsizerError):
        catalog.accelerator(name)


def test_unknown_names(catalog: llmsizer.Catalog):
    for look_up in (catalog.model, catalog.accelerator, catalog.node, catalog.processor, catalog.scheme):
        for name in ("", " ", "nonsense!", "x" * 10_000, "\x00\n"):
            with pytest.raises(UnknownName) as caught:
                look_up(name)
            assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accelerators: {h100-sxm5-80gb: {aliases: [h100, h200]}}\n", "aliases: 'h200' already means h200-sxm5-141gb"),
        ("models: {me/mine: {aliases: [Whisper], config: {}}}\n", "me/mine.aliases: 'Whisper' already means"),
        ("models: {me/mine: {config: {model_type: llama}}}\n", "x.yaml:1: models.me/mine.config.num_hidden_layers: is missing"),
        ("models: {me/mine: {config: [1]}}\n", "models.me/mine.config: expected a mapping"),
        ("accelerators: {h100-sxm5-80gb: {aliases: h100}}\n", "aliases: expected a list, got 'h100'"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str, says: str, tmp_path: Path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError) as told:
        llmsizer.load_catalog(path)
    assert says in str(told.value)


def test_a_folder_without_a_catalog_is_refused(tmp_path: Path):
    with pytest.raises(CatalogError, match=r"holds no \.yaml file"):
        llmsizer.load_catalog(tmp_path)
