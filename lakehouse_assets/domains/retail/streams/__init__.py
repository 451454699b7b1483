"""The streams of the retail domain, one module each."""
