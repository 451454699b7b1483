"""Data quality: expectations, quarantine, conservation of rows and declared keys."""
