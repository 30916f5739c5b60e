"""Fitting of efficiency curves: measured kernel times in, calibration YAML out.

Needs scipy (and pyarrow for the published kernel tables); both are imported only when a fit runs.
"""
