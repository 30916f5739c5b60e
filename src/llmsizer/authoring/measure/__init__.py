"""Measuring of the device at hand through torch: its ceilings, and catalog models with random weights.

Needs torch (the extra ``measure``), which is imported only when something is measured.
"""
