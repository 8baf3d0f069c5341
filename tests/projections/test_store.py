"""The table's memory: what a recovery makes of a changelog."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from projections.executions import EXECUTIONS
from projections.folding import Entry
from projections.store import RowStore, version_in
from streams.faust_host import Batch
from streams.topics import partition_of
from tests.projections.history import folded, succeeded_run

EVENTS = succeeded_run("e1")


def value(version: int, key: str = "e1") -> bytes:
    row = folded(EXECUTIONS, key, EVENTS[:version])
    return Entry(row, f"execution/0@{version}").value(key)


@dataclass(frozen=True)
class Record:
    key: bytes
    value: bytes | None


def recovered(*records: Record) -> RowStore:
    store = RowStore("flexcore-rows://", SimpleNamespace(), SimpleNamespace(name="t", partitions=4))
    message = SimpleNamespace(value=Batch("changelog", 0, 1, list(records)))
    store.apply_changelog_batch([SimpleNamespace(message=message)], _same, _same)
    return store


def _same(given: Any) -> Any:
    return given


def test_the_version_is_found_whatever_the_key_says() -> None:
    assert version_in(value(3)) == 3
    assert version_in(value(2, 'x","version":9,"')) == 2


def test_a_recovery_keeps_the_last_row_and_forgets_what_was_deleted() -> None:
    store = recovered(
        Record(b"e1", value(1)),
        Record(b"e1", value(2)),
        Record(b"e2", value(1)),
        Record(b"e2", None),
    )
    assert store.data == {b"e1": value(2)}
    assert not store.stale


def test_an_old_row_written_late_does_not_win_and_is_to_be_written_over() -> None:
    store = recovered(Record(b"e1", value(3)), Record(b"e1", value(2)))
    assert store.data == {b"e1": value(3)}
    assert store.stale == {b"e1"}


def test_rows_of_partitions_that_moved_away_are_forgotten() -> None:
    keys = [f"e{n}" for n in range(40)]
    store = recovered(*(Record(key.encode(), value(1, key)) for key in keys))
    asyncio.run(store.on_recovery_completed({TP("changelog", 2)}, set()))
    assert {key.decode() for key in store.data} == {k for k in keys if partition_of(k, 4) == 2}
