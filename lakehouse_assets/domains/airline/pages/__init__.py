"""The airline's pages."""
