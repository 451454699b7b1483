"""The one clock: whoever needs the time asks here, so that days are UTC days on every machine."""

from datetime import UTC, date, datetime


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def today() -> date:
    """Return the present day in UTC, which may differ from the day on the wall."""
    return now().date()
