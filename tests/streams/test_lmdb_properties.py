"""LMDB and memory say the same after every step, with writes, restarts and losses in between."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.answers import REFUSED, Answer
from streams.lmdb_stream_index import LmdbStreamIndex
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot, snapshots_place
from streams.stream_index import HOUR_MS, WINDOW_MS
from streams.topics import partition_of
from tests.streams.lmdb_files import kill

PARTITIONS = 2
CONTEXTS = ("pipeline", "execution")
IDS = ("a", "b", "a#", "c" * 450)
COMMANDS = ("x", "y", "z")
IDENTITIES = [Identity(c, a, command) for c in CONTEXTS for a in IDS for command in COMMANDS]
HOURS = st.integers(0, 2 * WINDOW_MS // HOUR_MS)
ENDS = st.sampled_from(["PipelineStepScheduled", "ExecutionCompleted", "ExecutionFailed"])


def home(aggregate_id: str) -> int:
    return partition_of(aggregate_id, PARTITIONS)


class Indexes(RuleBasedStateMachine):
    """`steps` made the memory index what it is; of those, `written` reached LMDB for good."""

    @initialize()
    def empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flexcore-index-"))
        self.memory = MemoryStreamIndex()
        self.steps: list[tuple[str, tuple[object, ...]]] = []
        self.written = 0
        self.now_ms = 0
        self.offset = 0
        self.boot = "first"
        self.lmdb = self._opened()

    def teardown(self) -> None:
        self.lmdb.close()
        shutil.rmtree(self.folder)

    def _opened(self) -> LmdbStreamIndex:
        return LmdbStreamIndex(
            self.folder,
            partitions=PARTITIONS,
            log_id="log",
            boot=self.boot,
            map_bytes=1 << 17,
            write_every_s=3_600,
        )

    def _both(self, name: str, *given: object) -> None:
        self.steps.append((name, given))
        for index in (self.memory, self.lmdb):
            getattr(index, name)(*given)

    # ── what the tailer does ─────────────────────────────────────────────────────────────

    @rule(
        context=st.sampled_from(CONTEXTS),
        chosen=st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(COMMANDS), ENDS, HOURS)),
        part=st.sampled_from([(0, 1), (0, 2), (1, 2)]),
        size=st.sampled_from([0, 10, 9_000]),
        held=st.integers(0, 3),
    )
    def read_events(
        self,
        context: str,
        chosen: list[tuple[str, str, str, int]],
        part: tuple[int, int],
        size: int,
        held: int,
    ) -> None:
        for partition in range(PARTITIONS):
            versions: dict[str, int] = {}
            events = []
            for aggregate_id, command, kind, hour in chosen:
                if home(aggregate_id) != partition:
                    continue
                last = versions.get(aggregate_id)
                if last is None:
                    last = self.memory.last_version(context, aggregate_id)
                versions[aggregate_id] = last + 1
                self.offset += 1
                headers = {
                    "ce_id": str(self.offset).encode(),
                    "ce_type": f"flexcore.execution.{kind}".encode(),
                    "ce_commandid": command.encode(),
                    "ce_txnindex": str(part[0]).encode(),
                    "ce_txncount": str(part[1]).encode(),
                }
                at = partition, self.offset, hour * HOUR_MS
                events.append(
                    EventRecord(context, aggregate_id, last + 1, *at, b"e" * size, headers)
                )
            self._both("append", events)
            self._advance(context, partition, held)

    @rule(
        context=st.sampled_from(CONTEXTS),
        aggregate_id=st.sampled_from(IDS),
        back=st.integers(0, 3),
        value=st.sampled_from([None, b"redacted"]),
    )
    def read_a_copy(self, context: str, aggregate_id: str, back: int, value: bytes | None) -> None:
        version = self.memory.last_version(context, aggregate_id) - back
        known = self.memory.event(context, aggregate_id, version)
        if known is not None:
            self.offset += 1
            headers = {} if value is None else known.headers
            copy = known._replace(offset=self.offset, value=value, headers=headers)
            self._both("replace", copy)
            self._both("distrust", context, aggregate_id)
            self._advance(context, known.partition, 0)

    @rule(
        context=st.sampled_from(CONTEXTS),
        aggregate_id=st.sampled_from(IDS),
        value=st.sampled_from([None, b"", b"state" * 2_000]),
    )
    def read_a_snapshot(self, context: str, aggregate_id: str, value: bytes | None) -> None:
        self.offset += 1
        version, partition = self.memory.last_version(context, aggregate_id), home(aggregate_id)
        at = aggregate_id, version, partition, self.offset
        self._both("keep", Snapshot(context, *at, value, "id", "h", "s"))
        self._advance(snapshots_place(context), partition, 0)

    @rule(identity=st.sampled_from(IDENTITIES), hour=HOURS, code=st.sampled_from(["p.x", "p.y"]))
    def read_an_outcome(self, identity: Identity, hour: int, code: str) -> None:
        self.offset += 1
        answer = Answer(identity, "h", REFUSED, error_code=code, error_message="ü")
        self._both("remember", answer, hour * HOUR_MS)
        self._advance("outcomes", home(identity.aggregate_id), 0)

    def _advance(self, context: str, partition: int, held: int) -> None:
        position = self.offset + 1
        self._both("advance", context, partition, position, max(position - held, 0))

    @rule(hours=st.integers(0, 100))
    def time_passes(self, hours: int) -> None:
        self.now_ms += hours * HOUR_MS
        self._both("expire", self.now_ms)

    # ── what happens to the files ────────────────────────────────────────────────────────

    @rule()
    def write(self) -> None:
        self.lmdb.flush()
        self.written = len(self.steps)

    @rule()
    def restart(self) -> None:
        self.lmdb.close()
        self.boot += "'"
        self.lmdb = self._opened()
        self.lmdb.expire(self.now_ms)
        self.written = len(self.steps)

    @rule()
    def crash(self) -> None:
        """The process dies: what was written stays, the rest must be read again."""
        kill(self.lmdb)
        self._go_on_from(self.written, self.boot)

    @rule()
    def lose_the_machine(self) -> None:
        """The machine dies: nothing stays."""
        kill(self.lmdb)
        self._go_on_from(0, self.boot + "'")

    def _go_on_from(self, written: int, boot: str) -> None:
        self.boot = boot
        self.lmdb = self._opened()
        self.memory = MemoryStreamIndex()
        self.steps, self.written = self.steps[:written], written
        for name, given in self.steps:
            getattr(self.memory, name)(*given)
        for index in (self.memory, self.lmdb):
            index.expire(self.now_ms)

    # ── what must hold ───────────────────────────────────────────────────────────────────

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "lmdb"):
            return
        for partition in range(PARTITIONS):
            assert list(self.lmdb.active(partition)) == list(self.memory.active(partition))
            for context in (*CONTEXTS, "outcomes"):
                for ask in ("position", "resume"):
                    ours = getattr(self.lmdb, ask)(context, partition)
                    assert ours == getattr(self.memory, ask)(context, partition)
        for context in CONTEXTS:
            for aggregate_id in IDS:
                where = context, aggregate_id
                assert self.lmdb.last_version(*where) == self.memory.last_version(*where)
                for ask in ("snapshot", "distrusted"):
                    assert getattr(self.lmdb, ask)(*where) == getattr(self.memory, ask)(*where)
                assert list(self.lmdb.events(*where)) == list(self.memory.events(*where))
                assert list(self.lmdb.events(*where, 2, 2)) == list(
                    self.memory.events(*where, 2, 2)
                )
        for identity in IDENTITIES:
            assert self.lmdb.answer(identity) == self.memory.answer(identity)


TestIndexes = Indexes.TestCase
TestIndexes.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
