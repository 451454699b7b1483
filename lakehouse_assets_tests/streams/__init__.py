"""Tests of streams, from the messages of topics to minutes."""
