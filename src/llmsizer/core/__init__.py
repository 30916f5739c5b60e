"""Ground floor: quantities, facts, formulas that explain themselves, numerics and errors."""
