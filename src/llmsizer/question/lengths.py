"""Token lengths in words: numbers, ranges, laws, files of observed lengths, or a whole ``Traffic``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.words import LARGEST_LENGTH, checked_fraction, checked_integer
from llmsizer.schema.lengths import Fixed, Histogram, Lengths, LogNormal, Uniform

FORMS = "1024, 800..1000 (uniform), lognormal:MEAN:VARIATION[:MAXIMUM], or a file of lengths (.csv: tokens,weight)"


def lengths_of(name: str, given: Any) -> Lengths:
    """The law that a word names; InvalidQuestion says what is wrong with any other.

    >>> lengths_of("input_tokens", "800..1000")
    Uniform(low=800, high=1000)
    """
    if hasattr(given, "support"):
        return given  # type: ignore[no-any-return]
    text = str(given).strip()
    kind, colon, rest = text.partition(":")
    if colon and kind in LAWS:
        return _law(name, kind, rest.split(":"))
    low, dots, high = text.partition("..")
    if dots:
        first, last = (_tokens(name, end) for end in (low, high))
        return Uniform(first, last)
    if isinstance(given, (str, Path)) and text.lower().endswith((".csv", ".txt")):
        return read_lengths(name, text)
    return Fixed(_tokens(name, given))


LAWS = {"lognormal": (2, 3), "uniform": (2, 2)}


def _law(name: str, kind: str, parts: list[str]) -> Lengths:
    least, most = LAWS[kind]
    if not least <= len(parts) <= most:
        raise InvalidQuestion(f"{_flag(name)}: '{kind}:{':'.join(parts)[:40]}' has {len(parts)} numbers", f"expected {FORMS}")
    if kind == "uniform":
        return Uniform(_tokens(name, parts[0]), _tokens(name, parts[1]))
    mean, variation = checked_fraction(name, parts[0], 1.0, LARGEST_LENGTH), checked_fraction(name, parts[1], 1e-6, 10.0)
    return LogNormal(mean_tokens=mean, variation=variation, maximum=_tokens(name, parts[2]) if len(parts) > 2 else None)


def read_lengths(name: str, path: str) -> Histogram:
    """Observed lengths from a file: a number of tokens in each line, with how often it was seen."""
    import csv

    tokens: list[int] = []
    weights: list[float] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as lines:
            for place, row in enumerate(csv.reader(lines), 1):
                if row and not (place == 1 and len(row) <= 2 and not row[0].strip().isdigit()):
                    tokens.append(_entry(name, path, place, row))
                    weights.append(_weight(name, path, place, row))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise InvalidQuestion(f"{_flag(name)}: cannot read {path}: {why}") from None
    if not tokens:
        raise InvalidQuestion(f"{_flag(name)}: {path} has no lengths", "expected lines such as 1024,17")
    return Histogram(tuple(tokens), tuple(weights))


def _entry(name: str, path: str, line: int, row: list[str]) -> int:
    if len(row) > 2:
        hint = "expected lines such as 1024,17; a file of requests is a trace: llmsizer simulate --trace"
        raise InvalidQuestion(f"{path}:{line}: {_flag(name)}: {len(row)} columns, but expected tokens and weight", hint)
    try:
        return checked_integer(name, row[0].strip(), most=LARGEST_LENGTH)
    except InvalidQuestion as problem:
        raise InvalidQuestion(f"{path}:{line}: {problem.message}", "expected lines such as 1024,17") from None


def _weight(name: str, path: str, line: int, row: list[str]) -> float:
    try:
        return checked_fraction(name, row[1].strip(), most=1e15) if len(row) > 1 else 1.0
    except InvalidQuestion as problem:
        raise InvalidQuestion(f"{path}:{line}: {problem.message}", "expected lines such as 1024,17") from None


def _tokens(name: str, given: Any) -> int:
    try:
        return checked_integer(name, given.strip() if isinstance(given, str) else given, most=LARGEST_LENGTH)
    except InvalidQuestion as problem:
        if "whole number" in problem.message:
            raise InvalidQuestion(problem.message, f"expected {FORMS}") from None
        raise


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
