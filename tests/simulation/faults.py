"""What is done to a cluster between two steps; each fault says whether it hit anything."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from domain.execution.messages import PipelineStepCompleted
from domain.pipeline.pipeline import PipelineCreated, PipelineRevised
from tests.simulation.cluster import Cluster
from tests.simulation.log import Content, Record
from tests.simulation.places import CODEC, CONTEXTS, PARTITIONS, PLACES, SNAPSHOTS, TOPICS, log_of
from tests.simulation.worker import Worker


class Faults:
    """`counts` = how often each hit; the names are those of `chaos.EVENTS`, but for `zombie`."""

    def __init__(self, cluster: Cluster) -> None:
        self.counts: Counter[str] = Counter()
        self._cluster = cluster
        self._random = cluster.random
        self._broker = cluster.broker
        self.by_name: dict[str, Callable[[], bool]] = {
            "crash": self._crash,
            "pause": self._pause,
            "deafen": self._deafen,
            "expire": self._expire,
            "stray": cluster.network.stray_arrives,
            "outage": self._outage,
            "republish": self._republish,
            "redact": self._redact,
            "compact": self._compact,
            "time_out": self._time_out,
        }

    def strike(self, name: str) -> None:
        if self.by_name[name]():
            self._hit(name)

    def _hit(self, name: str) -> None:
        self.counts[name] += 1
        self._cluster.note(name)

    def stops(self, worker: Worker) -> bool:
        """Whether a worker stops in mid-transaction now, for longer than its session lasts.

        The first transaction of a generation is special: until it is committed, nothing names its
        author to the others. So is one without commands of clients: it consumes nothing.
        """
        new, internal = worker.is_new, worker.is_internal
        often = 1.0 if new and internal else 0.3 if new or internal else 0.02
        chance = often * self._cluster.chaos.weights["zombie"]
        if not worker.in_transaction or self._random.random() >= chance:
            return False
        if worker.member not in self._cluster.members or self._somebody_sleeps():
            return False
        self._hit("zombie")
        worker.paused = True
        self._cluster.end_session(worker.member)
        return True

    def _somebody_sleeps(self) -> bool:
        return any(worker.paused for worker in self._cluster.workers)

    # ── workers ──────────────────────────────────────────────────────────────────────────

    def _any(self) -> Worker:
        return self._random.choice(self._cluster.workers)

    def _crash(self) -> bool:
        self._cluster.restart(self._any())
        return True

    def _pause(self) -> bool:
        worker = self._any()
        worker.paused = not worker.paused
        return True

    def _deafen(self) -> bool:
        """A worker does not hear from the group, yet goes on."""
        worker = self._any()
        worker.deaf = not worker.deaf
        return True

    def _expire(self) -> bool:
        members = sorted(self._cluster.members)
        if members:
            self._cluster.end_session(self._random.choice(members))
        return bool(members)

    # ── broker ───────────────────────────────────────────────────────────────────────────

    def _outage(self) -> bool:
        self._broker.down = not self._broker.down
        return True

    def _republish(self) -> bool:
        """An administrator writes an event again, as redaction does."""
        name = TOPICS.events(self._random.choice(CONTEXTS)), self._random.randrange(PARTITIONS)
        records, _ = self._broker.log(name).read(0)
        if not records:
            return False
        record = self._random.choice(records)
        self._cluster.witness.republished = True
        self._broker.append(name, Content(record.key, record.value, record.headers))
        return True

    def _redact(self) -> bool:
        """An event is written again with less in it."""
        name = TOPICS.events(self._random.choice(CONTEXTS)), self._random.randrange(PARTITIONS)
        records, _ = self._broker.log(name).read(0)
        redacted = [(record, less) for record in records if (less := _redacted(record)) is not None]
        if not redacted:
            return False
        record, value = self._random.choice(redacted)
        self._cluster.witness.republished = True
        self._broker.append(name, Content(record.key, value, record.headers))
        return True

    def _compact(self) -> bool:
        """The topics' compaction lag of 7 days lets nothing go that is not answered yet."""
        answered = self._broker.answered
        gone = [self._broker.log(log_of(p)).compact(answered.get(p, 0)) for p in PLACES]
        for place in SNAPSHOTS:
            log = self._broker.log(log_of(place))
            gone.append(log.compact(log.stable_end))
        return any(gone)

    def _time_out(self) -> bool:
        self._broker.now_ms += 10_000
        return self._broker.expire_transactions() > 0


def _redacted(record: Record) -> bytes | None:
    """The event without what somebody wrote into it."""
    match CODEC.decode(record.value or b""):
        case PipelineCreated() | PipelineRevised() as event:
            return CODEC.encode(replace(event, name="redacted"))
        case PipelineStepCompleted() as event:
            return CODEC.encode(replace(event, output_json="{}"))
        case _:
            return None
