"""Mistakes name the word at fault and what it could have been."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName, UnsupportedCombination
from llmsizer.question.classes import class_of

WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100"}


def test_the_part_of_an_unknown_number() -> None:
    with pytest.raises(UnknownName, match="known: cost, decode, latency, memory, prefill, throughput"):
        llmsizer.estimate(**WORDS).value("speed")
    with pytest.raises(UnknownName, match="does not fit: it has no speed"):
        llmsizer.estimate("llama-3.1-70b", "l4").value("latency.ttft_seconds")


def test_a_quantity_without_unit_names_its_word() -> None:
    with pytest.raises(UnitError, match=r"emissions: expected a quantity in .*\n?.*400 g/kWh"):
        _ = llmsizer.estimate(**WORDS, emissions="5").cost
    with pytest.raises(UnitError, match="'apple-m2-ultra@5': expected a quantity"):
        llmsizer.estimate("llama-3.1-8b", "m2-ultra@5")


def test_a_length_that_was_not_given_is_not_named_as_a_flag() -> None:
    with pytest.raises(InvalidQuestion, match="--input-tokens 2,000 and an answer of 204 exceed"):
        llmsizer.estimate("gpt2", "l4", input_tokens=2000)


def test_a_region_nobody_rents_in() -> None:
    with pytest.raises(UnknownName, match="unknown region 'mars'"):
        llmsizer.plan(model="llama-3.1-8b", request_rate=1, hardware="h100", regions=["mars"])


@pytest.mark.skipif(not hasattr(os, "pipe2"), reason="no POSIX pipes")
def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "llmsizer", "models", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("llama.cpp+foo", "unknown backend of llama.cpp 'foo'\nknown: cpu, cuda"),
        ("vllm+vulkan", "unknown core of vllm 'vulkan'\nknown: v0, v1"),
        ("llama.cpp+metal", "no backend metal for H100 SXM5 80GB\npossible: cuda, vulkan"),
        ("llama.cpp@b6077+", r"expected NAME@VERSION\+CORE"),
        ("llama.cpp+vulkan@b6077", r"expected NAME@VERSION\+CORE"),
        ("tgi+v1", "tgi has no engine cores or backends"),
    ],
)
def test_engine_cores_and_backends(engine: str, says: str) -> None:
    with pytest.raises((UnknownName, InvalidQuestion, UnsupportedCombination), match=says):
        llmsizer.estimate(**WORDS, engine=engine)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a name or KEY=VALUE"),
        ("chat:ttft=-1s", "--class ttft: expected a time above 0, got -1s"),
        ("chat:tpot=0s", "--class tpot: expected a time above 0"),
        ("chat:e2e=5", "--class e2e: expected a quantity"),
        ("chat:turns=2,think=-1s", "--class think: expected a time of at least 0"),
        ("chat:isl=800..1000,prefix=1001", "--class prefix: 1,001 tokens are more than the longest prompt, 1,000"),
    ],
)
def test_classes_that_make_no_sense(text: str, says: str) -> None:
    with pytest.raises((InvalidQuestion, UnitError), match=says):
        class_of(text)


def test_users_who_think_are_those_of_a_closed_loop() -> None:
    with pytest.raises(InvalidQuestion, match="think and request_rate exclude each other"):
        llmsizer.estimate(**WORDS, request_rate=5, think_seconds=2)
