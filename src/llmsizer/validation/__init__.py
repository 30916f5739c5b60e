"""Estimates against measured runs: every shipped measurement recomputed, with its error."""
