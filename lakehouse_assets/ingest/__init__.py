"""From delivered files to bronze rows: the landing zone, file readers, and load plans."""
