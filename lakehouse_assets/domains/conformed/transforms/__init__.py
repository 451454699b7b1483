"""The rules of the conformed dimensions as pure functions."""
