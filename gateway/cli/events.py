"""`flexcore events`: read the events of one aggregate, or follow those of all."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import App, Parameter

from domain.errors import Invalid
from gateway.cli import places
from gateway.cli.client import Api, connected
from gateway.cli.moments import moment
from gateway.cli.options import COMMON, WHERE, Common, Where
from gateway.cli.output import View, line_of, show_all

EVENT = View(
    name="id",
    columns={
        "TIME": "time",
        "AGGREGATE": "aggregate_id",
        "VERSION": "version",
        "EVENT": "type",
        "STEP": "data.step_id",
        "POSITION": "position",
    },
)
PAGE = 500

Types = Annotated[
    tuple[str, ...],
    Parameter(name="--type", help="events of this type alone, such as PipelineCreated; may repeat"),
]

app = App(name="events", help="Read the event store.", help_format="plaintext")


@app.command
def read(
    stream: str,
    *,
    from_version: int = 1,
    to_version: int | None = None,
    at: str | None = None,
    limit: int | None = None,
    common: Common = COMMON,
) -> None:
    """Print the events of one aggregate in the order of their versions.

    Parameters
    ----------
    stream
        context/id, such as pipeline/seattle
    from_version
        the first version wanted
    to_version
        the last version wanted (default: the last there is)
    at
        as the aggregate stood at this time, such as 2026-03-01T12:00:00Z
    limit
        how many at most (default: all)
    """
    context, slash, aggregate_id = stream.partition("/")
    if not slash or not aggregate_id:
        raise Invalid("query.invalid", f"{stream!r} is no stream; write context/id")
    moment_at = None if at is None else moment(at, "--at").isoformat()
    with connected(places.api_url(common)) as client:
        path = f"/v1/streams/{quote(context, safe='')}/{quote(aggregate_id, safe='')}/events"
        query = {"to_version": to_version, "at": moment_at}
        found = _pages(Api(client), path, query, from_version, limit)
    show_all(found, EVENT, common.output)


@app.command(name="all")
def all_(
    *,
    from_timestamp: str | None = None,
    context: str | None = None,
    type_: Types = (),
    where: Where = WHERE,
) -> None:
    """Print all events in the order of their times, up to the present end, read from Kafka itself.

    Parameters
    ----------
    from_timestamp
        begin with the first event of this time or later, such as 2026-03-01T12:00:00Z
    context
        of this context alone: pipeline or execution
    """
    since = None if from_timestamp is None else moment(from_timestamp, "--from-timestamp")
    _print_all(where, context, type_, since, live=False)


@app.command
def tail(
    *,
    context: str | None = None,
    type_: Types = (),
    since: str | None = None,
    from_start: bool = False,
    count: int | None = None,
    where: Where = WHERE,
) -> None:
    """Print events as they are committed, read from Kafka itself; Ctrl-C ends it.

    Parameters
    ----------
    context
        of this context alone: pipeline or execution
    since
        begin with the first event of this time or later, such as 2026-03-01T12:00:00Z
    from_start
        begin with the oldest event there is
    count
        end after so many events
    """
    from gateway.cli.tailing import FROM_NOW

    if since is not None and from_start:
        raise Invalid("query.invalid", "--since and --from-start exclude each other")
    begin = FROM_NOW if since is None else moment(since, "--since")
    _print_all(where, context, type_, None if from_start else begin, live=True, count=count)


def _print_all(
    where: Where,
    context: str | None,
    types: Sequence[str],
    since: datetime | None,
    *,
    live: bool,
    count: int | None = None,
) -> None:
    from gateway.cli.tailing import Wanted, tailed

    wanted = Wanted(context=context, types=types, since=since)
    connection, settings = places.kafka(where)
    with closing(tailed(connection, settings, wanted, live=live)) as events:
        for event in islice(events, count):
            print(line_of(event, EVENT, where.output), end="", flush=live)


def _pages(
    api: Api, path: str, query: Mapping[str, Any], first: int, limit: int | None
) -> list[Any]:
    found: list[Any] = []
    while limit is None or len(found) < limit:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        page = api.get(path, from_version=first, limit=wanted, **query).body
        found += page["items"]
        if page["next_cursor"] is None:
            break
        first = int(page["next_cursor"])
    return found
