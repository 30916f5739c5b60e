"""What would make one deployment better: techniques tried one by one, and which input its answer hangs on."""
