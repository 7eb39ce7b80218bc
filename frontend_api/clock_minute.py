"""The clock minute, in which the limits per minute count and whose figures are stored."""

from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)


def minute_of(moment: datetime) -> datetime:
    """Return the begin of the minute."""
    return moment.replace(second=0, microsecond=0)


def seconds_to_next_minute(moment: datetime) -> int:
    """Return when the limits per minute start again."""
    return MINUTE.seconds - moment.second
