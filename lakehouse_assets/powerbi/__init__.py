"""Writes the lake's tables, measures and pages as Power BI projects."""
