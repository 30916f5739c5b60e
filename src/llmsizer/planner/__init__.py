"""Search over estimates: what to run for a workload and its targets, at the lowest cost."""
