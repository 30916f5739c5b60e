"""The errors a user can cause. The library raises them; only the command line catches them."""

from __future__ import annotations

from collections.abc import Iterable

FEW_NAMES = 24  # as many as a hint may list


class LlmsizerError(Exception):
    """A mistake in the question or in a file, worded for the person who made it.

    ``message`` says what is wrong and where; ``hint`` (may be empty) says what would be right.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class CatalogError(LlmsizerError):
    """A YAML, JSON or model file that does not say what it should: file, line, field, expectation."""

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int | None = None,
        field: str = "",
        hint: str = "",
    ) -> None:
        where = ":".join(str(part) for part in (file, line) if part)
        prefix = ": ".join(part for part in (where, field) if part)
        super().__init__(f"{prefix}: {message}" if prefix else message, hint)
        self.file, self.line, self.field, self.told = file, line, field, message

    def within(self, field: str, line: int | None) -> CatalogError:
        """The same error about a part of ``field``, which begins at ``line``."""
        whole = ".".join(part for part in (field, self.field) if part)
        return CatalogError(self.told, file=self.file, line=self.line or line, field=whole, hint=self.hint)


class UnknownName(LlmsizerError):
    """A name that is in no catalog; carries the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], extra: str = "") -> None:
        every = list(dict.fromkeys(known))
        near = nearest(name, every)
        hint = f"Did you mean: {', '.join(near)}?" if near else ""
        if not near and 0 < len(every) <= FEW_NAMES:
            hint = f"known: {', '.join(sorted(every))}"
        super().__init__(f"unknown {kind} '{shortened(name)}'", " ".join(filter(None, (hint, extra))))
        self.kind, self.name, self.near = kind, name, near


class UnitError(LlmsizerError):
    """A number without its unit, or with the unit of something else."""


class UnsupportedCombination(LlmsizerError):
    """Things that exist but do not go together, with what would work."""


class InvalidQuestion(LlmsizerError):
    """An argument outside its range or in conflict with another."""


def shortened(text: str, limit: int = 80) -> str:
    """The text, cut in the middle when it is longer than ``limit`` characters."""
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 4 :]}"


def nearest(name: str, known: Iterable[str], count: int = 4) -> list[str]:
    """Up to ``count`` known names that look like ``name``, best first (case does not matter)."""
    from difflib import SequenceMatcher

    wanted = name[:200].lower()
    scored = []
    for candidate in known:
        lowered = candidate.lower()
        tail = lowered.rsplit("/", 1)[-1]
        score = max(
            SequenceMatcher(None, wanted, lowered).quick_ratio() and SequenceMatcher(None, wanted, lowered).ratio(),
            SequenceMatcher(None, wanted.rsplit("/", 1)[-1], tail).ratio(),
        )
        if wanted and (wanted in lowered):
            score = max(score, 0.75 + 0.2 * len(wanted) / len(lowered))
        if score >= 0.6:
            scored.append((-score, len(candidate), candidate))
    return [candidate for _, _, candidate in sorted(scored)[:count]]
