"""Tests of the airline domain."""
