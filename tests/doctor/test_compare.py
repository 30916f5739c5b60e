"""Logs beside their estimates."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, UnknownName
from llmsizer.core.quantities import GIB
from llmsizer.doctor import Diagnosis, LogReading, diagnose, parse_log
from llmsizer.doctor.logs import UnreadableLog

Sample = Callable[[str], LogReading]


def rows(diagnosis: Diagnosis) -> dict[str, str]:
    return {row.figure: "ok" if row.agrees else row.cause for row in diagnosis.rows}


def test_a_log_that_names_everything(sample: Sample, catalog: llmsizer.Catalog) -> None:
    diagnosis = diagnose(sample("vllm_v0"), catalog)
    assert diagnosis.question["hardware_id"] == "rtx-4090"
    assert diagnosis.question["engine_version"] == "0.8.5+v0"
    assert diagnosis.origins["model"] == "log"
    assert "max_num_seqs" not in diagnosis.origins
    assert diagnosis.started
    assert diagnosis.fits
    weights = diagnosis.row("weights")
    assert weights is not None
    assert weights.log == pytest.approx(14.989 * GIB)
    assert weights.agrees
    assert weights.difference == pytest.approx(weights.estimate - weights.log)
    assert abs(weights.percent or 100) < 1
    tokens = diagnosis.row("kv_tokens")
    assert tokens is not None
    assert tokens.log == 2570 * 16
    assert diagnosis.row("nothing") is None


def test_the_data_is_plain(sample: Sample, catalog: llmsizer.Catalog) -> None:
    for name in ("vllm_v0", "sglang_mla", "llama_cpp_partial"):
        data = json.loads(json.dumps(diagnose(sample(name), catalog).to_dict()))
        assert set(data) == {"log", "question", "origins", "rows", "outcome", "agrees", "notes"}
        assert {"figure", "log", "estimate", "difference", "difference_percent", "cause"} <= set(data["rows"][0])


def test_given_words_win(sample: Sample, catalog: llmsizer.Catalog) -> None:
    diagnosis = diagnose(sample("vllm_v0"), catalog, max_num_seqs=16, hardware="rtx-3090", engine="vllm@0.7.3+v0", dtype=None)
    assert (diagnosis.question["max_num_seqs"], diagnosis.question["hardware_id"]) == (16, "rtx-3090")
    assert diagnosis.question["engine_version"] == "0.7.3+v0"
    assert diagnosis.origins["max_num_seqs"] == "given"


def test_what_the_log_leaves_open_is_asked_for(sample: Sample, catalog: llmsizer.Catalog) -> None:
    with pytest.raises(InvalidQuestion, match="--gpu") as caught:
        diagnose(sample("vllm_v1_011"), catalog)
    assert "h100-sxm5-80gb" in str(caught.value)  # its memory fits
    with pytest.raises(InvalidQuestion, match="--model"):
        diagnose(parse_log("Available KV cache memory: 8.98 GiB"), catalog, hardware="h100")
    with pytest.raises(UnknownName, match="--model"):
        diagnose(
            parse_log("LLM engine (v0.11.0) with config: model='/models/mine', x\nAvailable KV cache memory: 8 GiB"), catalog
        )
    with pytest.raises(InvalidQuestion, match="in no catalog"):
        diagnose(parse_log("GPU 0: NVIDIA Voodoo 5\nvllm serve qwen3-8b\nAvailable KV cache memory: 8 GiB"), catalog)
    with pytest.raises(InvalidQuestion, match="tensor_parallel_size"):
        diagnose(sample("vllm_v0"), catalog, tensor_parallel=2)
    with pytest.raises(InvalidQuestion, match="the log is one of vllm"):
        diagnose(sample("vllm_v0"), catalog, engine="sglang")


def test_a_log_without_figures(catalog: llmsizer.Catalog) -> None:
    with pytest.raises(UnreadableLog, match="no memory figure"):
        diagnose(parse_log("vllm serve qwen3-8b --port 80"), catalog, hardware="h100")


def test_ranks_and_groups(sample: Sample, catalog: llmsizer.Catalog) -> None:
    diagnosis = diagnose(sample("vllm_v1_hybrid"), catalog)
    assert diagnosis.question["tensor_parallel_size"] == 2
    found = rows(diagnosis)
    assert found["weights"] == "ok"
    assert found["bytes_per_token"] == "ok"  # pages shared by groups of layers, recounted
    assert "overheads" in found  # the log prints no activation peak: what the budget leaves is compared
    if found["kv_cache"] != "ok":
        assert "activations and other overheads" in found["kv_cache"] or "ranks" in found["kv_cache"]


def test_failed_starts(sample: Sample, catalog: llmsizer.Catalog) -> None:
    long = diagnose(sample("vllm_v1_too_long"), catalog, hardware="rtx-a6000", gpu_memory_utilization=0.7)
    assert (long.started, long.fits) == (False, False)
    assert rows(long)["kv_one_sequence"] == "ok"
    wrong = diagnose(sample("vllm_v1_too_long"), catalog, hardware="h100")
    assert (wrong.started, wrong.fits, wrong.agrees) == (False, True, False)
    assert any("the estimate says it fits" in note for note in wrong.notes)
    none = diagnose(sample("vllm_v1_no_room"), catalog, hardware="l4")
    assert (none.started, none.fits) == (False, False)
    left = none.row("kv_cache")
    assert left is not None
    assert left.estimate is not None
    assert left.estimate < 0  # what lacks, not zero
    taken = diagnose(sample("vllm_v1_taken"), catalog, hardware="h100")
    assert taken.started is None
    assert "in use by others" in rows(taken)["device_free"]
    assert any("others held the card's memory" in note for note in taken.notes)


def test_sglang(sample: Sample, catalog: llmsizer.Catalog) -> None:
    latent = diagnose(sample("sglang_mla"), catalog)
    assert latent.question["engine"] == "sglang"
    assert rows(latent)["bytes_per_token"] == "ok"  # a latent, not divided
    assert any("names no version" in note for note in latent.notes)
    hybrid = diagnose(sample("sglang_hybrid_tp2"), catalog, hardware="l40s")
    assert rows(hybrid)["bytes_per_token"] == "ok"
    assert hybrid.row("state_cache") is not None


def test_llama_cpp(sample: Sample, catalog: llmsizer.Catalog) -> None:
    flash = rows(diagnose(sample("llama_cpp_flash"), catalog))
    assert (flash["weights"], flash["weights_all"], flash["kv_cache"]) == ("ok", "ok", "ok")
    plain = rows(diagnose(sample("llama_cpp_plain"), catalog))
    assert (plain["weights"], plain["kv_cache"]) == ("ok", "ok")
    assert plain["compute_buffer"] in {"ok", "each of the 2 devices keeps copies of a step's inputs"}
    partial = diagnose(sample("llama_cpp_partial"), catalog)
    found = rows(partial)
    assert (found["weights_all"], found["kv_cache"]) == ("ok", "ok")
    on_card = partial.row("weights")
    assert on_card is not None
    assert on_card.estimate is None or on_card.estimate < 0.7 * partial.row("weights_all").log  # type: ignore[union-attr]


def test_a_length_beyond_the_model(catalog: llmsizer.Catalog) -> None:
    text = "vllm serve qwen3-8b --max-model-len 131072\nAvailable KV cache memory: 50 GiB\nGPU KV cache size: 364,080 tokens"
    diagnosis = diagnose(parse_log(text), catalog, hardware="h100")
    assert diagnosis.question["max_model_len"] == 40960
    assert any("exceeds the model's 40,960" in note for note in diagnosis.notes)


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        ("Model loading took 15.2690 GiB and 6.310772 seconds\nAvailable KV cache memory: 50 GiB", (0, 11)),
        ("model weights take 15.27GiB; \n# cuda blocks: 100, # CPU blocks: 0", (0, 10)),
    ],
)
def test_a_version_is_assumed_from_the_lines(catalog: llmsizer.Catalog, lines: str, version: tuple[int, ...]) -> None:
    diagnosis = diagnose(parse_log(f"vllm serve qwen3-8b\n{lines}"), catalog, hardware="h100")
    assert diagnosis.origins["engine"] == "assumed"
    assert tuple(int(part) for part in diagnosis.question["engine_version"].split("+")[0].split(".")) <= (*version, 99)
    assert any("names no version" in note for note in diagnosis.notes)


def test_development_builds(catalog: llmsizer.Catalog) -> None:
    config = "LLM engine (v{}) with config: model='Qwen/Qwen3-8B', x=1\nAvailable KV cache memory: 50 GiB"
    tagged = diagnose(parse_log("EngineCore " + config.format("0.19.2rc1.dev8+g4b7f5ea1a")), catalog, hardware="h100")
    assert tagged.question["engine_version"] == "0.19.2rc1.dev8+v1"
    bare = diagnose(parse_log("EngineCore " + config.format("0.1.dev1+gda1daf40b")), catalog, hardware="h100")
    assert bare.origins["engine"] == "assumed"
    assert any("is no release" in note for note in bare.notes)


def test_notes_say_what_was_taken_for_what(catalog: llmsizer.Catalog) -> None:
    text = (
        "LLM engine (v0.12.0) with config: model='acme/Qwen3-8B-finetune-W4A16', quantization=compressed-tensors, "
        "kv_cache_dtype=turbo3\nspeculative_config=SpeculativeConfig(method='eagle3', model='a/b')\n"
        "Available KV cache memory: 50 GiB"
    )
    diagnosis = diagnose(parse_log(text), catalog, hardware="h100", model="qwen3-8b", quantization="w4a16")
    assert diagnosis.question["quantization"] == "w4a16"
    assert any("turbo3" in note for note in diagnosis.notes)
    assert any("eagle3" in note for note in diagnosis.notes)
    unsure = diagnose(parse_log(text.replace("-finetune-W4A16", "")), catalog, hardware="h100")
    assert any("compressed-tensors" in note for note in unsure.notes)
