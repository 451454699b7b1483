"""Seeded generators of the sample deliveries in `data/`."""
