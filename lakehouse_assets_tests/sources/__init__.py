"""Tests of copying databases into the landing zone."""
