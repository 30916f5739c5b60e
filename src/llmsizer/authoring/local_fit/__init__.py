"""Calibration of one's own machine: curves and engine figures fitted to measured runs and benchmark files.

Needs scipy (the extra ``measure``), which is imported only when a fit runs.
"""
