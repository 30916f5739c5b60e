"""Constants of definition for formula bodies, with their units."""

from __future__ import annotations

from llmsizer.core.explain import Constant

BYTES_PER_BIT = Constant(0.125, "byte/element", "a byte has eight bits; formats give bits per element")
ONE_ELEMENT = Constant(1.0, "element", "a counted value")
MEBIBYTES = Constant(2.0**20, "byte", "a mebibyte")
ONE_BYTE = Constant(1.0, "byte", "a counted byte")
ONE_TOKEN = Constant(1.0, "token", "a counted token")
