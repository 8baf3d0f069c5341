"""`flexcore events`: read the events of one aggregate, or follow those of all."""

from typing import Any
from urllib.parse import quote

from cyclopts import App

from domain.errors import Invalid
from gateway.cli import places
from gateway.cli.client import Api, connected
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

app = App(name="events", help="Read the event store.", help_format="plaintext")


@app.command
def read(
    stream: str, *, from_version: int = 1, limit: int | None = None, common: Common = COMMON
) -> None:
    """Print the events of one aggregate in the order of their versions.

    Parameters
    ----------
    stream
        context/id, such as pipeline/seattle
    from_version
        the first version wanted
    limit
        how many at most (default: all)
    """
    context, slash, aggregate_id = stream.partition("/")
    if not slash or not aggregate_id:
        raise Invalid("query.invalid", f"{stream!r} is no stream; write context/id")
    with connected(places.api_url(common)) as client:
        path = f"/v1/streams/{quote(context, safe='')}/{quote(aggregate_id, safe='')}/events"
        found = _pages(Api(client), path, from_version, limit)
    show_all(found, EVENT, common.output)


@app.command
def tail(
    *,
    context: str | None = None,
    from_start: bool = False,
    count: int | None = None,
    where: Where = WHERE,
) -> None:
    """Print events as they are committed, read from Kafka itself; Ctrl-C ends it.

    Parameters
    ----------
    context
        of this context alone: pipeline or execution
    from_start
        begin with the oldest event there is
    count
        end after so many events
    """
    from gateway.cli.tailing import tailed

    connection, settings = places.kafka(where)
    for number, event in enumerate(
        tailed(connection, settings, context=context, from_start=from_start), 1
    ):
        print(line_of(event, EVENT, where.output), end="", flush=True)
        if number == count:
            return


def _pages(api: Api, path: str, first: int, limit: int | None) -> list[Any]:
    found: list[Any] = []
    while limit is None or len(found) < limit:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        page = api.get(path, from_version=first, limit=wanted).body
        found += page["items"]
        if page["next_cursor"] is None:
            break
        first = int(page["next_cursor"])
    return found
