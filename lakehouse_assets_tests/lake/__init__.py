"""Tests of the lake, on real Delta tables in temporary folders."""
