"""Schedules: when a pipeline runs by itself. Pure; what time it is comes in.

wall-clock minutes (cron) ──zone──► moments in UTC     no such minute → the first after the gap
                                                        twice that minute → the first of both
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from domain.cron import parse_cron
from domain.definition import MAX_JSON_BYTES, holds_blob_reference
from domain.json_text import parse_json

MAX_CAUGHT_UP = 100
"""Runs that start at once for times that have passed; of a schedule that stood for long, the last."""
MAX_SKIPPED = 1_000
"""Times that are counted; each takes the lane some microseconds."""
GRACE = timedelta(seconds=60)
"""A time has passed when it is older: until then a worker may have been starting or taking over."""

_NAMESPACE = uuid.UUID("6f0d3f2e-5f0c-5d5e-9a43-0a2b6a1f7c11")
_ZONE = re.compile(
    r"(?!posix|right)[A-Za-z]\w*(?:[+-]\w+)*(?:/[A-Za-z]\w*(?:[+-]\w+)*){0,2}", re.ASCII
)
_NO_ZONES = frozenset({"localtime", "Factory"})
_MINUTE = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


class CatchUp(Enum):
    """What becomes of times that passed while nothing ran, or while the pipeline was paused."""

    LATEST = "latest"
    NONE = "none"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`cron` as in domain/cron.py, `zone` of the IANA database; `input_json` goes to each run."""

    cron: str
    zone: str
    catch_up: CatchUp
    input_json: str

    @property
    def times(self) -> tuple[str, str]:
        """What its times follow from."""
        return self.cron, self.zone


@dataclass(frozen=True, slots=True)
class Due:
    """Times to start runs for, in order, and how many before them are left out."""

    times: tuple[datetime, ...]
    skipped: int


# ── when ─────────────────────────────────────────────────────────────────────────────────


def next_time(schedule: Schedule, after: datetime) -> datetime:
    """The first time after a moment, in UTC. Raises ValueError for a schedule that is none."""
    cron, zone = parse_cron(schedule.cron), _zone(schedule.zone)
    wall = cron.first_from(_whole_minute(after.astimezone(zone)))
    while (found := _moment(wall, zone)) <= after:
        wall = cron.first_from(wall + _MINUTE)
    return found


def last_time(schedule: Schedule, until: datetime) -> datetime:
    """The last time at or before a moment, in UTC. Raises ValueError for a schedule that is none."""
    cron, zone = parse_cron(schedule.cron), _zone(schedule.zone)
    local = until.astimezone(zone)
    if local.fold:
        # The clock was set back: it has shown later minutes already, and those were the first.
        local = until.astimezone(UTC) + (local.replace(fold=0).utcoffset() or timedelta())
    wall = cron.last_to(_whole_minute(local))
    while (found := _moment(wall, zone)) > until:
        wall = cron.last_to(wall - _MINUTE)
    return found


def due(schedule: Schedule, since: datetime, until: datetime) -> Due:
    """What is to start for the times after `since`, at `until`. Raises ValueError."""
    most = MAX_CAUGHT_UP if schedule.catch_up is CatchUp.ALL else 1
    passed = _back(schedule, since, until)
    times = [found for found, _ in zip(passed, range(most), strict=False)]
    if not times or (schedule.catch_up is CatchUp.NONE and times[0] < until - GRACE):
        return Due((), 0)
    oldest = _back(schedule, since, times[-1] - _INSTANT)
    skipped = sum(1 for _ in zip(oldest, range(MAX_SKIPPED), strict=False))
    return Due(tuple(reversed(times)), skipped)


def _back(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    found = last_time(schedule, until)
    while found > since:
        yield found
        found = last_time(schedule, found - _INSTANT)


def execution_id(pipeline_id: str, scheduled_for: datetime) -> str:
    """The id of the run that a time starts: always the same, so that it starts once."""
    tenant, mark, _ = pipeline_id.rpartition("~")
    name = f"pipeline/{pipeline_id}/{scheduled_for.astimezone(UTC).isoformat()}"
    return f"{tenant}{mark}{uuid.uuid5(_NAMESPACE, name)}"


def _whole_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0, tzinfo=None, fold=0)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock in the zone first shows `wall`, or has gone past it."""
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    # In a gap: the offset after it gives a moment before it, and the other way round.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, round((found - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        moved = (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() != offset
        low, high = (low, middle) if moved else (middle, high)
    return before + timedelta(seconds=high)


def _zone(name: str) -> ZoneInfo:
    # Not all that is found below the database's folder is a zone, and not all systems have the same.
    if not _ZONE.fullmatch(name) or name in _NO_ZONES:
        raise ValueError(f"{name[:80]!r} is no time zone; write one as Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(
            f"there is no time zone {name[:80]!r}; write one as Europe/Berlin"
        ) from None


# ── what is wrong with one ───────────────────────────────────────────────────────────────


def schedule_problems(schedule: Schedule) -> Iterator[str]:
    """Everything that is wrong with a schedule, a sentence each; none means that it can run."""
    for name, read in (("cron", parse_cron), ("zone", _zone)):
        try:
            read(getattr(schedule, name))
        except ValueError as error:
            yield f"schedule.{name}: {error}"
    yield from (f"schedule.input: {what}" for what in _input_problems(schedule.input_json))


def _input_problems(input_json: str) -> Iterator[str]:
    if len(input_json.encode()) > MAX_JSON_BYTES:
        yield f"over {MAX_JSON_BYTES} bytes"
        return
    try:
        value = parse_json(input_json)
    except ValueError as error:
        yield f"no JSON that can be used: {error}"
        return
    if not isinstance(value, dict):
        yield "it must be an object"
    elif holds_blob_reference(value):
        yield "it holds a $blob reference, which only FlexCore itself may make"
