"""Static pages made from the registry's measures: a folder that any browser opens."""
