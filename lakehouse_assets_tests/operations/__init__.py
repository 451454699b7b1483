"""Tests of what a team runs beside the lake: proxy, servers, databases, units, licences."""
