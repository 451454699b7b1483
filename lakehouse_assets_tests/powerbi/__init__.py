"""Tests of the Power BI projects."""
