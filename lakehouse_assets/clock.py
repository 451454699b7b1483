"""The only source of the current time, always in UTC, and the steps of partitions."""

from datetime import UTC, date, datetime, timedelta


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def today() -> date:
    """Return the current day in UTC, which may differ from the local one."""
    return now().date()


def following(partition: date, grain: str) -> date:
    """Return the day or month after a partition; a month is its first day."""
    if grain == "day":
        return partition + timedelta(days=1)
    return (partition + timedelta(days=32)).replace(day=1)
