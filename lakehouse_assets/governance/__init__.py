"""Governance of the lake: lineage, glossary, classification and the catalogue."""
