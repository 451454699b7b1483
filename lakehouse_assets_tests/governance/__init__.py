"""Governance: lineage, glossary, classification, catalogue."""
