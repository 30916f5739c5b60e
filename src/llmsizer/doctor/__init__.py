"""Reads an engine's own start-up log and sets its figures beside the estimate, with likely causes."""

from llmsizer.doctor.compare import Diagnosis, Row, diagnose
from llmsizer.doctor.logs import parse_log, read_log
from llmsizer.doctor.reading import Buffers, LogReading

__all__ = ["Buffers", "Diagnosis", "LogReading", "Row", "diagnose", "parse_log", "read_log"]
