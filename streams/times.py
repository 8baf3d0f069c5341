"""Moments as the broker counts them: whole milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def begun_ms(moment: datetime) -> int:
    """The last millisecond that has begun at `moment`."""
    return (moment - _EPOCH) // _MS


def first_ms(moment: datetime) -> int:
    """The first millisecond that does not begin before `moment`."""
    return -((_EPOCH - moment) // _MS)
