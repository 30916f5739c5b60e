"""The equations: numbers in, a number out. Each is one plain function with units and a reference."""
