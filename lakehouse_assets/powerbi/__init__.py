"""Writes tables, measures and pages as Power BI projects."""
