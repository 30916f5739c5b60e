"""The nouns: frozen types for models, accelerators, engines, formats, prices and workloads."""
