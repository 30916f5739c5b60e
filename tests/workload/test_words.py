"""Lengths and classes of requests in words, and what an estimate makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.classes import class_of, mix_of
from llmsizer.question.lengths import lengths_of
from llmsizer.question.traffic import hit_rate_of
from llmsizer.schema.lengths import Fixed, Histogram, LogNormal, Uniform
from llmsizer.schema.workload import ClosedLoop, Conversation, Mix, OpenLoop, PrefixGroups, RequestClass, Traffic

WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100"}


@pytest.mark.parametrize(
    ("text", "law"),
    [
        (1024, Fixed(1024)),
        ("1024", Fixed(1024)),
        ("800..1000", Uniform(800, 1000)),
        ("uniform:800:1000", Uniform(800, 1000)),
        ("lognormal:1024:0.5", LogNormal(mean_tokens=1024.0, variation=0.5)),
        ("lognormal:1024:0.5:4096", LogNormal(mean_tokens=1024.0, variation=0.5, maximum=4096)),
    ],
)
def test_every_form_of_lengths_is_read(text: object, law: object) -> None:
    assert lengths_of("input_tokens", text) == law


def test_a_file_of_lengths_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("tokens,count\n100,3\n200,1\n")
    assert lengths_of("input_tokens", str(file)) == Histogram((100, 200), (3.0, 1.0))
    assert llmsizer.estimate(**WORDS, input_tokens=str(file)).case.workload.input_tokens == pytest.approx(125)


@pytest.mark.parametrize(
    "text", ["ten", "5..", "..5", "9..5", "lognormal:10", "lognormal:x:1", "0", "-3", "missing.csv", "1..2..3"]
)
def test_mistakes_in_lengths_are_named(text: str) -> None:
    with pytest.raises(LlmsizerError):
        lengths_of("input_tokens", text)


def test_a_bad_line_of_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("100,3\nmany,1\n")
    with pytest.raises(InvalidQuestion, match=r"lengths\.csv:2"):
        lengths_of("input_tokens", str(file))


def test_classes_are_read() -> None:
    kind = class_of("chat:share=0.7,isl=800..1000,osl=200,priority=1,turns=4,think=2s,shared=300,ttft=500ms")
    assert kind.name == "chat"
    assert kind.sharing == Conversation(turns=4, think_seconds=2.0, shared_tokens=300)
    assert kind.targets is not None
    assert kind.targets.ttft_seconds == 0.5
    assert class_of("isl=100,prefix=50,groups=3").sharing == PrefixGroups(tokens=50, groups=3)
    assert mix_of(None) is None


@pytest.mark.parametrize("text", ["chat:length=3", "chat:isl", "isl=x", "turns=2,prefix=10", "groups=3", "think=2s", "share=0"])
def test_mistakes_in_classes_are_named(text: str) -> None:
    with pytest.raises(LlmsizerError):
        class_of(text)


def test_long_answers_weigh_more_in_the_running_batch() -> None:
    alike = llmsizer.estimate(**WORDS, output_tokens=400, concurrency=32).decode
    spread = llmsizer.estimate(**WORDS, output_tokens="lognormal:400:1.0:4000", concurrency=32).decode
    assert alike is not None
    assert spread is not None
    assert spread.bytes > alike.bytes


def test_traffic_of_several_classes_is_estimated_and_simulated_alike() -> None:
    kinds = (
        RequestClass(name="chat", share=0.7, input_tokens=Uniform(300, 500), output_tokens=Uniform(100, 200)),
        RequestClass(name="docs", share=0.3, input_tokens=Fixed(3000), output_tokens=Fixed(50)),
    )
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=5.0), classes=kinds)
    latency = llmsizer.estimate(**WORDS, workload=traffic).latency
    steady = llmsizer.simulate(**WORDS, workload=traffic, num_prompts=1500).steady()
    assert latency is not None
    assert steady is not None
    assert steady.ttft is not None
    assert steady.tpot is not None
    assert float(plain(latency.ttft_seconds)) == pytest.approx(steady.ttft.mean, rel=0.15)
    assert float(plain(latency.tpot_seconds)) == pytest.approx(steady.tpot.mean, rel=0.05)
    mixed = llmsizer.estimate(**WORDS, workload=Mix(kinds), request_rate=5.0).latency
    assert mixed == latency


def test_a_whole_traffic_and_words_that_say_the_same_exclude_each_other() -> None:
    traffic = Traffic(arrivals=ClosedLoop(concurrency=4))
    with pytest.raises(InvalidQuestion, match="concurrency"):
        llmsizer.estimate(**WORDS, workload=traffic, concurrency=4)
    with pytest.raises(InvalidQuestion, match="workload"):
        llmsizer.estimate(**WORDS, workload="chat")


def test_hit_rate_of_shared_prefixes() -> None:
    groups = RequestClass(input_tokens=Fixed(1000), sharing=PrefixGroups(tokens=250))
    talk = RequestClass(input_tokens=Fixed(100), output_tokens=Fixed(50), sharing=Conversation(turns=2))
    assert hit_rate_of(Traffic(arrivals=ClosedLoop(concurrency=1), classes=(groups,))) == pytest.approx(0.25)
    assert hit_rate_of(Traffic(arrivals=ClosedLoop(concurrency=1), classes=(talk,))) == pytest.approx(1 - 200 / 350)


def test_requests_longer_than_the_model_are_refused() -> None:
    with pytest.raises(InvalidQuestion, match="exceed"):
        llmsizer.estimate("llama-3.1-8b", "h100", input_tokens="1000..9000", max_model_len=4096)
