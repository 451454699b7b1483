"""Tests of the way from delivered files to bronze."""
