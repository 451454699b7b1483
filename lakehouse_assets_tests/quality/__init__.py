"""Tests of expectations, quarantine, conservation and declared keys."""
