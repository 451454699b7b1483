"""Tests of what makes the lakehouse run itself."""
