"""The only source of the current time, always in UTC, and what day or month follows another."""

from datetime import UTC, date, datetime, timedelta


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def today() -> date:
    """Return the present day in UTC, which may differ from the day on the wall."""
    return now().date()


def following(partition: date, grain: str) -> date:
    """Return the day or month after one."""
    if grain == "day":
        return partition + timedelta(days=1)
    return (partition + timedelta(days=32)).replace(day=1)
