"""Wiring: nouns and equations give results."""
