"""Plan files: what they ask, how mistakes are told, and what they cannot reach."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.core.errors import CatalogError, LlmsizerError
from llmsizer.core.yaml import load_text
from llmsizer.planner.ask import question_of
from llmsizer.planner.plan_file import MOST_QUESTIONS, Asked, PlanFile, plan_file_of, read_plan_file
from llmsizer.planner.plan_schema import PlanSchema, plan_json_schema
from llmsizer.planner.question import PlanQuestion
from llmsizer.planner.scenarios import PLACES, laid_over
from llmsizer.planner.starter import starter_text
from llmsizer.question.classes import mix_of

BASE = """workloads:
  chat:
    model: llama-3.1-8b
    request_rate: 5
"""


def read(text: str, catalog: llmsizer.Catalog) -> PlanFile:
    return plan_file_of(load_text(text, "plan.yaml"), catalog)


def only(text: str, catalog: llmsizer.Catalog) -> PlanQuestion:
    (asked,) = read(text, catalog).asked
    return asked.question


def test_a_file_asks_what_the_words_ask(catalog: llmsizer.Catalog) -> None:
    text = (
        BASE
        + """
    input_tokens: 800..1000
    prefix_cache_hit_rate: 30 %
    max_model_len: 4096
targets: {ttft: 500 ms, tpot: 40 ms}
candidates: {hardware: [h100, l40s], vendors: NVIDIA, engines: [vllm], formats: "auto,fp8", cache_formats: any, max_devices: 4}
prices: {providers: [aws], regions: [us-east-1], markets: [on-demand, spot], price_date: "2026-06-01"}
limits: {devices: 8, budget: 50 USD/h, power: 10 kW}
availability: {headroom: 0.1, spare: 1, growth: 2}
settings: {max_num_seqs: 64, gpu_memory_utilization: 0.8, enforce_eager: true}
assumptions: {calibration: ideal, emissions: 400 g/kWh, extras: [storage]}
outputs: {picks: 2, simulate: false}
"""
    )
    words: dict[str, Any] = {
        "model": "llama-3.1-8b", "request_rate": 5, "input_tokens": "800..1000", "prefix_cache_hit_rate": 0.3,
        "max_model_len": 4096, "targets": {"ttft": "500 ms", "tpot": "40 ms"}, "hardware": ["h100", "l40s"],
        "vendors": "NVIDIA", "engines": ["vllm"], "formats": "auto,fp8", "cache_formats": "any", "most_devices": 4,
        "providers": ["aws"], "regions": ["us-east-1"], "markets": ["on-demand", "spot"], "price_date": "2026-06-01",
        "most_devices_in_all": 8, "most_usd_per_hour": "50 USD/h", "most_watts": "10 kW", "headroom": 0.1, "spare": 1,
        "growth": 2, "max_num_seqs": 64, "gpu_memory_utilization": 0.8, "enforce_eager": True, "calibration": "ideal",
        "emissions": "400 g/kWh", "extras": ["storage"], "picks": 2, "confirm": False,
    }  # fmt: skip
    assert only(text, catalog) == question_of(words)


def test_every_field_is_a_word_of_the_planner() -> None:
    for section in ("candidates", "prices", "limits", "availability", "settings", "assumptions", "outputs"):
        fields = set(plan_json_schema()["$defs"][section.title()]["properties"])
        assert fields == {field for where, field in PLACES.values() if where == section}


SCENARIOS = (
    BASE
    + """    input_tokens: 500
targets: interactive
limits: {devices: 8}
scenarios:
  today: {}
  next year:
    workloads:
      chat: {concurrency: 64}
      batch: {model: llama-3.2-1b, request_rate: 1, targets: {e2e: 60 s}}
    targets: {tpot: 30 ms}
    limits: {budget: 20 USD/h}
  empty:
"""
)


def test_scenarios_are_laid_over_the_plan(catalog: llmsizer.Catalog) -> None:
    asked = {(each.place.scenario, each.place.workload): each.question for each in read(SCENARIOS, catalog).asked}
    assert list(asked) == [("today", "chat"), ("next year", "chat"), ("next year", "batch"), ("empty", "chat")]
    later = asked["next year", "chat"]
    assert (later.concurrency, later.request_rate, later.words.input_tokens) == (64, None, 500)
    assert [str(target) for target in later.targets] == ["TPOT P95 ≤ 30 ms"]
    assert (later.choices.most_devices_in_all, later.choices.most_usd_per_hour) == (8, pytest.approx(20))
    assert [str(target) for target in asked["next year", "batch"].targets] == ["E2E P95 ≤ 60 s"]
    assert asked["today", "chat"] == asked["empty", "chat"]


def test_laying_over_changes_neither() -> None:
    plan, scenario = {"workloads": {"a": {"model": "m", "demand": 3}}}, {"workloads": {"a": {"request_rate": 1}}}
    assert laid_over(plan, scenario) == {"workloads": {"a": {"model": "m", "request_rate": 1}}}
    assert plan == {"workloads": {"a": {"model": "m", "demand": 3}}}


# What is written wrongly, where it is told, and a part of what is said.
MISTAKES = [
    ("", "plan.yaml", "expected a mapping"),
    ("workload: {}", "plan.yaml:1: workload", "Did you mean: workloads?"),
    ("targets: interactive", "plan.yaml:1: workloads", "is missing"),
    ("workloads:\n  chat:\n    request_rate: 1", "plan.yaml:2: workloads.chat", "model is missing"),
    ("workloads:\n  chat:\n    model: llama-3.1-8b", "plan.yaml:2: workloads.chat", "demand is missing"),
    ("workloads:\n  chat:\n    modl: x", "plan.yaml:3: workloads.chat.modl", "Did you mean: model?"),
    (BASE.replace("3.1-8b", "3.1-9b"), "plan.yaml:3: workloads.chat.model", "Llama-3.1-8B"),
    (BASE + "    concurrency: 3", "plan.yaml:5: workloads.chat.concurrency", "exclude each other"),
    (BASE + "    input_tokens: 9..5", "plan.yaml:5: workloads.chat.input_tokens", "must rise"),
    (BASE + "targets:\n  tfft: 1 s", "plan.yaml:6: targets.tfft", "Did you mean: ttft?"),
    (BASE + "targets:\n  ttft: 500", "plan.yaml:6: targets.ttft", "500 ms"),
    (BASE + "targets: interactiv", "plan.yaml:5: targets", "Did you mean: interactive?"),
    (BASE + "limits:\n  budget: 50 GiB", "plan.yaml:6: limits.budget", "2.5 USD/h"),
    (BASE + "limits:\n  devices: 0", "plan.yaml:6: limits.devices", "greater than or equal to 1"),
    (BASE + "providers: [aws]", "plan.yaml:5: providers", "belongs under `prices:`"),
    (BASE + "candidates:\n  hardware:\n  - h100\n  - h10", "plan.yaml:8: candidates.hardware[1]", "h100"),
    (BASE + "candidates:\n  formats: [fp9]", "plan.yaml:6: candidates.formats[0]", "fp8"),
    (BASE + "candidates:\n  engines: vlm", "plan.yaml:6: candidates.engines", "Did you mean: vllm?"),
    (BASE + "prices:\n  regions: [mars]", "plan.yaml:6: prices.regions[0]", "unknown region"),
    (BASE + "prices:\n  markets: [spt]", "plan.yaml:6: prices.markets", "spot"),
    (BASE + "availability:\n  headroom: 120 %", "plan.yaml:6: availability.headroom", "share"),
    (BASE + "scenarios:\n  peak:\n    limits:\n      devics: 3", "plan.yaml:8: scenarios.peak.limits.devics", "devices"),
    (BASE + "scenarios:\n  2026: {}", "plan.yaml:6: scenarios", "line of text"),
    (BASE + 'title: "a\\u001b[31m"', "plan.yaml:5: title", "line of text"),
]


@pytest.mark.parametrize(("text", "place", "said"), MISTAKES, ids=[place for _, place, _ in MISTAKES])
def test_a_mistake_is_told_with_its_place(text: str, place: str, said: str, catalog: llmsizer.Catalog) -> None:
    with pytest.raises(CatalogError) as error:
        read(text, catalog)
    assert str(error.value).startswith(place)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (BASE + "prices:\n  price: awss", "plan.yaml:6: prices.price", "AWS"),
        (BASE + "prices:\n  providers: [amazn]", "plan.yaml:6: prices.providers[0]", "unknown provider"),
        (BASE + "candidates:\n  vendors: [Nvidea]", "plan.yaml:6: candidates.vendors", "NVIDIA"),
        (BASE + "settings:\n  batching: foo", "plan.yaml:6: settings.batching", "continuous"),
        (BASE + "assumptions:\n  extras: [storag]", "plan.yaml:6: assumptions.extras[0]", "storage"),
        (BASE + "    speculative: {method: draft, model: none-such}", "plan.yaml:5: workloads.chat.speculative.model", "model"),
    ],
)
def test_a_mistake_that_only_the_planner_finds_has_its_place_too(
    text: str, place: str, said: str, catalog: llmsizer.Catalog
) -> None:
    with pytest.raises(CatalogError) as error:
        read(text, catalog).answer(catalog)
    assert str(error.value).startswith(place)
    assert said in str(error.value)


def test_too_many_questions_are_refused(catalog: llmsizer.Catalog) -> None:
    many = "\n".join(f"  s{number}: {{}}" for number in range(MOST_QUESTIONS + 1))
    with pytest.raises(CatalogError, match="too many"):
        read(f"{BASE}scenarios:\n{many}", catalog)


def test_a_trace_is_the_demand_and_the_lengths(tmp_path: Path, catalog: llmsizer.Catalog) -> None:
    rows = "\n".join(f"{second},{100 + second % 2},{10}" for second in range(0, 120, 2))
    (tmp_path / "calls.csv").write_text(f"arrival,input_tokens,output_tokens\n{rows}\n", encoding="utf-8")
    plan = tmp_path / "plan.yaml"
    plan.write_text("workloads:\n  chat: {model: llama-3.1-8b, trace: calls.csv}\n", encoding="utf-8")
    (asked,) = read_plan_file(plan, catalog).asked
    assert asked.question.demand is not None
    assert asked.question.demand.rates == pytest.approx((0.5, 0.5))
    assert asked.question.words.input_tokens.mean() == pytest.approx(100)


SECRETS = ("../secret.csv", "/etc/passwd", "link.csv", "no\0file.csv", "folder", "gone.csv", "~/secret.csv")


@pytest.mark.parametrize("field", ["trace", "input_tokens"])
@pytest.mark.parametrize("name", SECRETS)
def test_no_file_outside_the_folder_is_read(field: str, name: str, tmp_path: Path, catalog: llmsizer.Catalog) -> None:
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text("1,2,3\n", encoding="utf-8")
    (home / "link.csv").symlink_to(tmp_path / "secret.csv")
    demand = "" if field == "trace" else ", request_rate: 1"
    if field == "input_tokens" and not name.endswith(".csv"):
        name += ".csv"
    text = f"workloads:\n  chat: {{model: llama-3.1-8b, {field}: {json.dumps(name)}{demand}}}\n"
    (home / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LlmsizerError, match="no file in the plan file's folder"):
        read_plan_file(home / "plan.yaml", catalog)


@pytest.mark.parametrize("model", ["./model", "/etc/passwd", "config.json", "~/x.gguf", "folder/model"])
def test_a_model_is_never_a_file(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: llmsizer.Catalog
) -> None:
    (tmp_path / "folder" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match="unknown model"):
        read(BASE.replace("llama-3.1-8b", model), catalog)


def test_a_file_runs_no_code(catalog: llmsizer.Catalog) -> None:
    with pytest.raises(CatalogError):
        read(BASE + 'title: !!python/object/apply:os.system ["true"]', catalog)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["500 ms", "20 %", "any", "h100", "2.5 USD/h", "llama-3.1-8b", "$x$", "1e999 s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6,
)  # fmt: skip
FIELDS = [(*place, word) for word, place in PLACES.items()]


@settings(max_examples=100)
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_no_value_of_a_field_gives_a_traceback(field: tuple[str, str, str], value: Any, catalog: llmsizer.Catalog) -> None:
    text = BASE + json.dumps({field[0]: {field[1]: value}})[1:-1]
    with contextlib.suppress(LlmsizerError):
        assert all(isinstance(each, Asked) for each in read(text, catalog).asked)


def test_the_starter_is_a_plan_with_and_without_its_commented_sections(catalog: llmsizer.Catalog) -> None:
    text = starter_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert len(read(text, catalog).asked) == 1
    head, rest = text.split("\nworkloads:", 1)
    everything = f"{head}\nworkloads:{re.sub(r'^# ', '', rest, flags=re.MULTILINE)}"
    assert [each.place.scenario for each in read(everything, catalog).asked] == ["today", "next year"]


def test_the_published_schema_is_current(top: Path) -> None:
    published = json.loads((top / "docs" / "plan.schema.json").read_text(encoding="utf-8"))
    assert published == plan_json_schema(), "llmsizer plan --schema > docs/plan.schema.json"


def test_every_field_of_the_schema_is_described() -> None:
    for section in plan_json_schema()["$defs"].values():
        for name, field in section["properties"].items():
            assert field.get("description") or "$ref" in json.dumps(field), name
    assert set(PlanSchema.model_fields) == set(plan_json_schema()["properties"])


CLASSES = """workloads:
  desk:
    model: llama-3.1-8b
    request_rate: 8
    classes:
      chat: {share: 0.7, input_tokens: 800..1000, output_tokens: 200}
      docs: {share: 0.3, input_tokens: 4000, output_tokens: 100, prefix: 3000, groups: 20}
"""


def test_classes_share_a_deployment(catalog: llmsizer.Catalog) -> None:
    question = only(CLASSES, catalog)
    assert question.words.workload == mix_of(
        ["chat:share=0.7,isl=800..1000,osl=200", "docs:share=0.3,isl=4000,osl=100,prefix=3000,groups=20"]
    )
    answer = llmsizer.plan("llama-3.1-8b", request_rate=8, workload=question.words.workload, hardware="l40s", confirm=False)
    work = answer.best.estimate.case.workload  # type: ignore[union-attr]
    assert work.input_tokens == pytest.approx(0.7 * 900 + 0.3 * 4000)
    assert work.output_tokens == pytest.approx(170)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("prefix: 3000, ", "", 7, "groups needs prefix"),
        ("share: 0.7", "shere: 0.7", 6, "share"),
        ("input_tokens: 4000", "input_tokens: 9..x", 7, "input-tokens"),
        ("input_tokens: 4000", "input_tokens: ../../etc/passwd.csv", 7, "folder"),
        ("request_rate: 8", "request_rate: 8\n    input_tokens: 5", 2, "input_tokens"),
    ],
)
def test_mistakes_in_classes_are_told_with_their_line(
    old: str, new: str, line: int, said: str, catalog: llmsizer.Catalog
) -> None:
    with pytest.raises(LlmsizerError) as error:
        read(CLASSES.replace(old, new), catalog).answer(catalog)
    assert said in str(error.value)
    assert f"plan.yaml:{line}: " in str(error.value)


def test_a_plan_holds_no_targets_of_single_classes() -> None:
    with pytest.raises(LlmsizerError, match="all requests together"):
        llmsizer.plan("llama-3.1-8b", request_rate=1, workload=mix_of(["chat:ttft=500ms"]))
