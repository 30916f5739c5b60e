"""The text of a log: bounded, without colours, searched as a whole, and who printed which line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from llmsizer.core.quantities import GIB, MIB

# A start-up log is long over before this; a server's log goes on for as long as it serves.
LARGEST = 20 * 2**20
# Only so much of a line is searched; configuration lines have some ten thousand characters.
LONGEST_LINE = 2**16

_COLOURS = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")
_RANK = re.compile(
    r"\((?:Worker|VllmWorker|RayWorker|EngineCore_DP)[^)\n]{0,80}\)|\[rank\d+\]"
    r"|(?<=[\d ])(?:(?:DP|PP|TP|EP)\d{1,4} ?){1,6}(?=\])"
)
_NAMES_OF_NOTHING = {"", "none", "null", "auto"}


def readable(raw: bytes | str) -> str:
    """The text of a log as written: decoded, line ends made alike, terminal colours removed.

    Only the first 20 MiB count. Bytes that are no text become replacement characters.
    """
    text = raw[:LARGEST] if isinstance(raw, str) else _decoded(raw[:LARGEST])
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return _COLOURS.sub("", text) if "\x1b" in text else text


def _decoded(raw: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Clue:
    """A pattern within one line, and words of which such a line has at least one (they find it fast)."""

    regex: re.Pattern[str]
    words: tuple[str, ...]


def clue(pattern: str, *words: str) -> Clue:
    """A pattern to look for on the lines that have one of some words."""
    return Clue(re.compile(pattern, re.MULTILINE), words)


@dataclass(frozen=True, slots=True)
class Hit:
    """What a clue caught, where, and the rank whose line it was (empty: no tag)."""

    rank: str
    groups: tuple[str, ...]
    start: int


class Log:
    """A log's text with the searches that the readers need."""

    def __init__(self, text: str) -> None:
        self.text = text

    def has(self, *words: str) -> bool:
        """Whether any of some words occurs."""
        return any(word in self.text for word in words)

    def _spans(self, words: tuple[str, ...]) -> list[tuple[int, int]]:
        """The lines that have one of some words, in order, each once."""
        spans: dict[int, int] = {}
        for word in words:
            position = self.text.find(word)
            while position >= 0:
                start, end = self.text.rfind("\n", 0, position) + 1, self.text.find("\n", position)
                end = end if end >= 0 else len(self.text)
                spans[start] = min(end, start + LONGEST_LINE)
                position = self.text.find(word, end)
        return sorted(spans.items())

    def hits(self, sought: Clue) -> list[Hit]:
        """Every place a clue matches, in order."""
        found = []
        for start, end in self._spans(sought.words):
            for match in sought.regex.finditer(self.text, start, end):
                groups = tuple(group or "" for group in match.groups())
                found.append(Hit(_rank(self.text[start : min(match.start(), start + 240)]), groups, match.start()))
        return found

    def found(self, sought: Clue) -> bool:
        """Whether a clue matches anywhere."""
        return any(sought.regex.search(self.text, start, end) for start, end in self._spans(sought.words))

    def first(self, sought: Clue) -> tuple[str, ...] | None:
        """The groups of the first match."""
        for start, end in self._spans(sought.words):
            if (match := sought.regex.search(self.text, start, end)) is not None:
                return tuple(group or "" for group in match.groups())
        return None

    def lines(self, sought: Clue) -> list[str]:
        """The lines on which a clue matches."""
        spans = self._spans(sought.words)
        return [self.text[start:end] for start, end in spans if sought.regex.search(self.text, start, end)]


def _rank(head: str) -> str:
    return " ".join(tag.group().strip() for tag in _RANK.finditer(head))


def number(text: str | None) -> float | None:
    """A printed number (``65,376``, ``-2.14``); None for anything else or beyond all reason."""
    if not text:
        return None
    try:
        value = float(text.replace(",", "").replace("_", "").rstrip("."))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def whole(text: str | None) -> int | None:
    """A printed whole number, or None."""
    value = number(text)
    return int(value) if value is not None and value.is_integer() else None


def gib(text: str | None) -> float | None:
    """A printed number of GiB (which engines also call GB) in bytes."""
    value = number(text)
    return value * GIB if value is not None else None


def mib(text: str | None) -> float | None:
    """A printed number of MiB in bytes."""
    value = number(text)
    return value * MIB if value is not None else None


def truth(text: str | None) -> bool | None:
    """A printed truth value, or None."""
    known = {"true": True, "1": True, "enabled": True, "on": True, "false": False, "0": False, "disabled": False, "off": False}
    return known.get((text or "").strip().lower())


class Settings:
    """Named values in the lines where an engine prints its configuration, the surest line first.

    Understands ``name=value``, ``'name': value`` and ``--name value`` (a name with a dash: that flag).
    """

    def __init__(self, regions: Iterable[str]) -> None:
        self.regions = [region for region in regions if region]

    def __bool__(self) -> bool:
        return bool(self.regions)

    def text(self, *names: str) -> str | None:
        """The first of some names that has a value; ``None`` and ``auto`` count as none."""
        for region in self.regions:
            for name in names:
                found = _assignment(name).search(region)
                value = next(filter(None, found.groups()), "").strip() if found else ""
                if value.lower() not in _NAMES_OF_NOTHING:
                    return value
        return None

    def says(self, name: str) -> bool:
        """Whether a name occurs with any value, ``None`` included."""
        return any(_assignment(name).search(region) for region in self.regions)

    def whole(self, *names: str) -> int | None:
        """A setting as a whole number."""
        return whole(self.text(*names))

    def number(self, *names: str) -> float | None:
        """A setting as a number."""
        return number(self.text(*names))

    def truth(self, *names: str) -> bool | None:
        """A setting as a truth value; a bare flag is true."""
        value = self.text(*names)
        if value is not None and truth(value) is not None:
            return truth(value)
        flags = [re.compile(rf"--{name.replace('_', '-')}(?:\s|$)") for name in names]
        return True if any(flag.search(region) for region in self.regions for flag in flags) else None


@lru_cache(maxsize=256)
def _assignment(name: str) -> re.Pattern[str]:
    if name.startswith("-"):
        names = rf"(?<!\S){name}(?:=|\s{{1,4}})"
    else:
        names = rf"(?:(?<![\w.-]){name}=|['\"]{name}['\"]:\s{{0,4}}|--{name.replace('_', '-')}(?:=|\s{{1,4}}))"
    return re.compile(names + r"(?:'([^'\n]{0,400})'|\"([^\"\n]{0,400})\"|([^\s,)}\]'\";]{1,400}))")
