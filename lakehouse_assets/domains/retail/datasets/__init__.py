"""The delivered datasets of the retail domain, one module each."""
