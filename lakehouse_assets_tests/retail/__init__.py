"""Tests of the retail domain."""
