"""Streams: messages become the rows of bronze, silver and minutes, each exactly once."""
