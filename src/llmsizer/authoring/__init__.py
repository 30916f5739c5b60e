"""Tools that write catalog files for review; they never run inside an estimate."""
