"""Tests of asking the lake in SQL."""
