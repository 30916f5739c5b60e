"""From an estimate to what runs it: the launch command, a Kubernetes manifest, the benchmark that checks it."""
