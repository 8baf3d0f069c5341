"""Projectors over one event log and one database, and what all of them must agree on."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import sql

from projections.checkpoints import Checkpoints
from projections.handlers import PROJECTIONS
from projections.values import dumps
from streams.positions import Position
from tests.projections.event_log import EventLog
from tests.projections.history import folded
from tests.projections.running import RunningProjector

TABLE_OF = {projection.context: name for name, projection in PROJECTIONS.items()}


class Projectors:
    """Starts projectors that end with the tests; remembers every history that was committed."""

    def __init__(self, log: EventLog, bootstrap: str, database: str, folder: Path) -> None:
        self.log, self.database = log, database
        self._place = bootstrap, log.topics.prefix, database, folder
        self._started: list[RunningProjector] = []
        self._histories: dict[str, dict[str, Sequence[Any]]] = {c: {} for c in TABLE_OF}
        self._position: dict[tuple[str, int], int] = {}

    def start(self) -> RunningProjector:
        """One more, ready."""
        projector = RunningProjector(*self._place)
        self._started.append(projector)
        projector.wait_ready()
        return projector

    def any(self) -> RunningProjector:
        """One that runs, started where there is none."""
        alive = [one for one in self._started if one.process.poll() is None]
        return alive[0] if alive else self.start()

    def end(self) -> None:
        """None is left."""
        for projector in self._started:
            projector.kill()

    def append(self, context: str, histories: Mapping[str, Sequence[Any]]) -> None:
        """Commit histories in one transaction."""
        self._position |= self.log.append_many(context, histories)
        self._histories[context] |= histories

    def agree(self, *views: RunningProjector) -> None:
        """PostgreSQL, the views and the pure fold of all that was committed are the same."""
        self.wait_for(self._position)
        for context, histories in self._histories.items():
            projection = PROJECTIONS[TABLE_OF[context]]
            expected = {
                key: orjson.loads(dumps(folded(projection, key, events)))
                for key, events in histories.items()
            }
            assert self._bodies(projection.name) == expected
            for view in views:
                shown = {key: view.row(projection.name, key) for key in expected}
                assert {key: status for key, (status, _) in shown.items() if status != 200} == {}
                assert {key: row["value"] for key, (_, row) in shown.items()} == expected

    def wait_for(self, position: Position) -> None:
        """Wait until PostgreSQL includes a position."""

        async def stored() -> None:
            async with Checkpoints(self.database) as checkpoints:
                for name in PROJECTIONS:
                    await checkpoints.wait_for(name, position, 60)

        asyncio.run(stored())

    def _bodies(self, table: str) -> dict[str, Any]:
        query = sql.SQL("SELECT id, body FROM flexcore.{}").format(sql.Identifier(table))
        with psycopg.connect(self.database) as connection:
            return dict(connection.execute(query).fetchall())
