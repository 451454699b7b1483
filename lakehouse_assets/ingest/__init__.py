"""From delivered files to bronze: the landing zone, reading files, and the bronze assets."""
