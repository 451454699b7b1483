"""The project's only source of the current time, always in UTC."""

from datetime import UTC, date, datetime


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def today() -> date:
    """Return the present day in UTC, which may differ from the day on the wall."""
    return now().date()
