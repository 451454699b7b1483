"""Locations (a folder, ADLS Gen2, OneLake), credentials for them, and the files in them."""
