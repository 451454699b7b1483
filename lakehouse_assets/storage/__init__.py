"""Locations (a folder, ADLS Gen2, OneLake), the credentials for them, and the files in them."""
