"""UmaDB (its server runs beside): one client shared by threads, the aggregate's id as the tag of its events.

PEER_STORE is the server's URL. A command reads the tag's events and appends on the condition that no other
event with this tag follows.
"""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-not-found,import-untyped"
# UmaDB is installed in this peer's own environment only.

import os
from uuid import uuid4

import umadb

from benchmarks.peers.closed_loop import Command
from benchmarks.peers.serving import serve_threads, versions_of

# At 2,000 in flight: 16 threads 3,960 commands/s, 64 4,820, 256 5,230, 2,000 2,670; a connection each was slower.
WORKERS = 128


def main(url: str) -> None:
    """Serve until stdin ends."""
    client = umadb.Client(url)
    counted, last = 0, None

    def command(task: Command) -> None:
        tag = str(task.aggregate_id)
        query = umadb.Query(items=[umadb.QueryItem(tags=[tag])])
        response = client.read(query)
        events = list(response)
        head = response.head()
        if len(events) != task.version:
            raise LookupError(f"{len(events)} events instead of {task.version}")
        event = umadb.Event("Revised", task.payload.encode(), [tag], uuid4())
        client.append([event], umadb.AppendCondition(query, after=head))

    def count() -> int:
        nonlocal counted, last
        for event in client.read(start=None if last is None else last + 1):
            counted, last = counted + 1, event.position
        return counted

    serve_threads(
        command,
        count,
        workers=WORKERS,
        client=f"up to {WORKERS} threads, one connection",
        versions=versions_of("umadb"),
    )


if __name__ == "__main__":
    main(os.environ["PEER_STORE"])
