"""Why a number differs: saved answers, two answers, two catalogs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.cli.main import run

WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "concurrency": 16}
HARDWARE = """
accelerators:
  h100-sxm5-80gb:
    memory_bandwidth: 3 TB/s
    peak_dense: {bf16: 900 TFLOP/s}
"""


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(llmsizer.estimate(**WORDS).to_dict()))
    return found


@pytest.fixture
def save(tmp_path: Path, answer: dict[str, Any]) -> Callable[..., Path]:
    """Writes the answer into a file, its parts changed by functions."""

    def written(*edits: Callable[[dict[str, Any]], Any], name: str = "old.json") -> Path:
        data = json.loads(json.dumps(answer))
        for edit in edits:
            edit(data)
        path = tmp_path / name
        path.write_text(json.dumps(data))
        return path

    return written


def fact(section: str, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Gives a fact of a saved answer another value."""

    def edit(data: dict[str, Any]) -> None:
        (found,) = [each for each in data["inputs"] if (each["section"], each["field"]) == (section, field)]
        found["value"] = {**found["value"], **value} if isinstance(value, dict) else value

    return edit


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    path = tmp_path / "slower.yaml"
    path.write_text(HARDWARE)
    return path


def test_nothing_changed(save):
    found = llmsizer.changes(save())
    assert [found.figures, found.facts, found.question, found.rest] == [(), (), (), {}]


def test_an_answer_of_another_catalog_is_explained_whole(tmp_path: Path, slower: Path):
    old = tmp_path / "old.json"
    before = llmsizer.estimate(**WORDS, catalog=slower)
    old.write_text(json.dumps(before.to_dict()))
    found = llmsizer.changes(old)
    assert {each.place[2] for each in found.facts} == {"memory_bandwidth", "peak_dense.bf16"}
    bandwidth = next(each for each in found.facts if each.place[2] == "memory_bandwidth")
    assert (bandwidth.old.value, bandwidth.new.value) == (3e12, 3.35e12)
    assert bandwidth.moves["latency.tpot_seconds"] < -5
    assert found.rest == {}
    tpot = next(each for each in found.figures if each.name == "latency.tpot_seconds")
    assert tpot.old == before.latency.tpot_seconds
    assert tpot.new == llmsizer.estimate(**WORDS).latency.tpot_seconds


@pytest.mark.parametrize(
    ("section", "field", "value", "moved"),
    [
        ("accelerators", "usable_memory", 60e9, "memory.per_gpu.kv_cache_bytes"),
        ("engines", "front_end", 0.2, "latency.ttft_seconds"),
        ("calibrations", "matmul bf16", {"memory_fraction": 0.5}, "latency.tpot_seconds"),
        ("models", "num_hidden_layers", 16, "memory.per_gpu.weights_bytes"),
        ("prices", "price", 0.01, "cost.usd_per_hour"),
    ],
)
def test_every_kind_of_fact_is_undone_alone(section, field, value, moved, save):
    (change,) = llmsizer.changes(save(fact(section, field, value))).facts
    assert change.place[::2] == (section, field)
    assert moved in change.moves


def test_what_facts_do_not_explain_is_the_rest(save):
    def slower_then(data: dict[str, Any]) -> None:
        data["latency"]["tpot_seconds"] *= 1.25
        data["made_with"]["llmsizer"] = "0.0.1"

    found = llmsizer.changes(save(slower_then))
    assert found.rest == pytest.approx({"latency.tpot_seconds": -20.0})
    assert found.made_with[0]["llmsizer"] == "0.0.1"


def test_facts_that_cannot_stand_where_they_stood_are_told_without_moves(save):
    def renamed(data: dict[str, Any]) -> None:
        data["inputs"].append({**data["inputs"][-1], "section": "engines", "entry": "vllm", "field": "gone", "value": 1})

    found = llmsizer.changes(save(fact("engines", "front_end", "a text"), renamed, fact("accelerators", "memory_bandwidth", 0)))
    assert {each.place[2]: each.moves for each in found.facts} == {"front_end": None, "gone": None, "memory_bandwidth": None}


def test_two_answers(save):
    old, new = save(fact("prices", "price", 0.01)), save(name="new.json")
    found = llmsizer.changes(old, new)
    assert [each.place[0] for each in found.facts] == ["prices"]
    assert found.rest is None


def test_two_catalogs_without_a_question(slower: Path):
    found = llmsizer.changes(slower)
    assert [each.place for each in found.facts] == [
        ("accelerators", "h100-sxm5-80gb", "memory_bandwidth"), ("accelerators", "h100-sxm5-80gb", "peak_dense.bf16"),
    ]  # fmt: skip
    assert not found.figures


def test_two_catalogs_with_a_question_tell_what_its_answer_rests_on(slower: Path):
    found = llmsizer.changes(slower, **WORDS)
    assert len(found.facts) == 2
    assert all(each.moves for each in found.facts)
    assert not llmsizer.changes(slower, model="llama-3.1-8b", hardware="l40s").facts


def test_catalogs_called_as_the_built_in_ones_replace_them(tmp_path: Path, top: Path):
    text = (top / "hardware_catalog.yaml").read_text(encoding="utf-8")
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "hardware_catalog.yaml").write_text(text.replace("3350 GB/s", "3349 GB/s"))
    found = llmsizer.changes(folder)
    assert {each.place[2] for each in found.facts} == {"memory_bandwidth"}
    assert {each.old.value for each in found.facts} == {3.349e12}
    assert not llmsizer.changes(top).facts


def test_an_answer_of_a_version_that_kept_no_question(save):
    def older(data: dict[str, Any]) -> None:
        for name in ("asked", "made_with", "inputs"):
            del data[name]

    old = save(older)
    with pytest.raises(llmsizer.LlmsizerError, match="does not hold its question"):
        llmsizer.changes(old)
    assert not llmsizer.changes(old, save(name="new.json")).figures


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["asked"].update(workload={"object": "Mix"}), "workload was a Mix"),
        (lambda data: data["asked"].update(colour="red"), "'colour' is no word"),
        (lambda data: data["asked"].update(quantization=4), "quantization is not as"),
        (lambda data: data["asked"].update(model="no-such-model"), "unknown model"),
        (lambda data: data.update(inputs=[{"section": 1}]), "inputs are not as"),
        (lambda data: data.update(inputs=7), "inputs are not as"),
        (lambda data: data.pop("memory"), "no saved estimate"),
        (lambda data: data.update(memory=[]), "not as llmsizer estimate writes it"),
    ],
)
def test_files_that_are_no_saved_answer_are_refused(edit, message, save):
    with pytest.raises(llmsizer.LlmsizerError, match=message):
        llmsizer.changes(save(edit))


def test_what_cannot_be_compared_is_refused(save, slower: Path, tmp_path: Path):
    old = save()
    other = save(lambda data: data["asked"].update(concurrency=1), name="other.json")
    (tmp_path / "empty").mkdir()
    for arguments, message in [
        ((old, other), "different questions"), ((old, slower), "cannot be compared"),
        ((tmp_path / "none.json",), "no such file"), ((tmp_path / "none",), "no such file or folder"),
        ((tmp_path / "empty",), "holds no catalog"),
    ]:  # fmt: skip
        with pytest.raises(llmsizer.LlmsizerError, match=message):
            llmsizer.changes(*arguments)
    with pytest.raises(llmsizer.LlmsizerError, match="its own question"):
        llmsizer.changes(old, model="llama-3.1-8b", hardware="h100")


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)  # fmt: skip


@settings(max_examples=40)
@given(data=st.data())
def test_no_file_gives_a_traceback(data: st.DataObject, answer: dict[str, Any], tmp_path: Path):
    broken = json.loads(json.dumps(answer))
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from(sorted(broken)))
        place = broken[part]
        if isinstance(place, dict) and place:
            place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
        elif isinstance(place, list) and place and isinstance(place[0], dict):
            entry = data.draw(st.sampled_from(place))
            entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(JSON)
        else:
            broken[part] = data.draw(JSON)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken))
    assert run(["changes", str(path)]) in {0, 2}


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_command(form: str, save, capsys: pytest.CaptureFixture[str]):
    path = save(fact("accelerators", "memory_bandwidth", 3e12), fact("engines", "max_num_seqs", 256))
    assert run(["changes", str(path), "--format", form]) == 0
    told = capsys.readouterr().out
    assert "memory_bandwidth" in told
    if form == "json":
        assert json.loads(told) == json.loads(json.dumps(llmsizer.changes(path).to_dict()))


def test_the_question_of_catalogs_is_whole(slower: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["changes", str(slower), "-m", "llama-3.1-8b"]) == 2
    assert "--gpu is missing" in capsys.readouterr().err
