"""Typed reading of a config.json (or a catalog entry spelt like one), with errors that say where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.core.errors import CatalogError

# Beyond this, a number in a config is a mistake or an attack, not a model.
LARGEST = 100_000_000
MOST_LAYERS = 4096


class Config:
    """One config.json: keys under their standard names, nested text configs opened."""

    def __init__(self, data: Mapping[str, Any], where: str, lines: Mapping[str, int] | None = None) -> None:
        self.data = dict(data)
        self.where = where
        self.lines = lines or {}

    def error(self, key: str, message: str, hint: str = "") -> CatalogError:
        """An error about one key."""
        return CatalogError(message, file=self.where, line=self.lines.get(key), field=key, hint=hint)

    def renamed(self, names: Mapping[str, str]) -> Config:
        """The same config with a family's own key names replaced; ``a.b`` reaches into a mapping."""
        data = dict(self.data)
        lines = dict(self.lines)
        for own, standard in names.items():
            outer, _, inner = own.partition(".")
            found = data.get(outer)
            if inner and isinstance(found, Mapping):
                found = found.get(inner)
            if found is not None and data.get(standard) is None and not (inner and isinstance(found, Mapping)):
                data[standard] = found
                lines.setdefault(standard, self.lines.get(outer, 0) or 0)
        return Config(data, self.where, lines)

    def opened(self, *keys: str) -> Config:
        """The config of the language model inside a multimodal one, outer keys as fall-back."""
        for key in keys:
            inner = self.data.get(key)
            if isinstance(inner, Mapping):
                return Config({**self.data, **{k: v for k, v in inner.items() if v is not None}}, self.where, self.lines)
        return self

    def has(self, key: str) -> bool:
        """Whether a key is present with a value."""
        return self.data.get(key) is not None

    def integer(self, key: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        """A required (or defaulted) whole number within bounds."""
        found = self.data.get(key)
        if found is None:
            if default is None:
                raise self.error(key, "is missing", f"expected a whole number of at least {least}")
            return default
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int):
            raise self.error(key, f"expected a whole number, got {_brief(found)}")
        if not least <= found <= most:
            raise self.error(key, f"expected a whole number from {least} to {most}, got {_brief(found)}")
        return found

    def head_width(self, heads: int) -> int:
        """Each head's share of ``hidden_size``; an error where they do not divide it."""
        hidden = self.integer("hidden_size")
        if hidden % heads:
            raise self.error("hidden_size", f"{heads} heads do not divide {hidden} (and there is no head_dim)")
        return hidden // heads

    def optional(self, key: str, least: int = 1, most: int = LARGEST) -> int | None:
        """A whole number or None when the key is absent, null or (where 0 is too little) 0."""
        found = self.data.get(key)
        if found is None or (found == 0 and least > 0 and not isinstance(found, bool)):
            return None
        return self.integer(key, least=least, most=most)

    def truth(self, key: str, default: bool) -> bool:
        """A truth value."""
        found = self.data.get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.error(key, f"expected true or false, got {_brief(found)}")
        return found

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        found = self.data.get(key)
        if found is None:
            return default
        if not isinstance(found, str):
            raise self.error(key, f"expected text, got {_brief(found)}")
        return found

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, or None when absent."""
        found = self.data.get(key)
        if found is None:
            return None
        if not isinstance(found, Sequence) or isinstance(found, str) or not all(isinstance(x, str) for x in found):
            raise self.error(key, f"expected a list of names, got {_brief(found)}")
        if len(found) > MOST_LAYERS:
            raise self.error(key, f"expected at most {MOST_LAYERS} entries, got {len(found)}")
        return tuple(found)

    def integers(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers, or None when absent."""
        found = self.data.get(key)
        if found is None:
            return None
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise self.error(key, f"expected a list of whole numbers, got {_brief(found)}")
        if len(found) > MOST_LAYERS:
            raise self.error(key, f"expected at most {MOST_LAYERS} entries, got {len(found)}")
        for item in found:
            if isinstance(item, bool) or not isinstance(item, int) or abs(item) > LARGEST:
                raise self.error(key, f"expected whole numbers, got {_brief(item)}")
        return tuple(found)

    def mapping(self, key: str) -> Config | None:
        """A nested mapping as a Config, or None when absent."""
        found = self.data.get(key)
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise self.error(key, f"expected a mapping, got {_brief(found)}")
        return Config(found, f"{self.where}: {key}")

    def mappings(self, key: str) -> list[Config]:
        """A list of mappings."""
        found = self.data.get(key)
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) > MOST_LAYERS:
            raise self.error(key, f"expected a list of mappings, got {_brief(found)}")
        if not all(isinstance(item, Mapping) for item in found):
            raise self.error(key, "expected a list of mappings")
        return [Config(item, f"{self.where}: {key}[{index}]") for index, item in enumerate(found)]


def _brief(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return text if len(text) <= 50 else text[:47] + "…"
