"""The delivered datasets of the airline domain, one module each."""
