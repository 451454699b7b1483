"""The lake: open, read, write and maintain declared tables as Delta tables."""
