"""The hashtags by which tweets are collected."""

from __future__ import annotations

CAMPAIGN_TAGS = (
    "#fashion", "#beach", "#entertainment", "#outdoor", "#adventureSports", "#futureTech",
    "#southBeach", "#SustainableFashion", "#GoGreen", "#EnjoyTheMoment", "#LetsGoSurf",
    "#BeUnique", "#FallintoWinter", "#LetsRun",
)  # fmt: skip
"""The reference lab's six tags, and those of all other campaigns."""
