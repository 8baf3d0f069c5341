"""Reads the logs back into the index and writes the answers: `KafkaTailer` on the model.

events, outcomes ──► tailer ──► index        answers ──► queue ──► outcomes
"""

from collections.abc import Collection
from random import Random

from streams.answers import Answer
from streams.stream_index import OUTCOMES, StreamIndex
from streams.tailer import Tailer
from streams.turn import Place
from tests.simulation.broker import Broker
from tests.simulation.places import PARTITIONS, READ, SNAPSHOTS, TOPICS, log_of
from tests.simulation.reading import answers_of, answers_read, event_records, outcome, snapshots_in
from tests.simulation.writer import Network, Steps

EVERYTHING = 10_000


class ReadBack:
    """One thread of a worker; `own` and `disown` come from another."""

    def __init__(self, network: Network, index: StreamIndex, tailer: Tailer, slot: int) -> None:
        self.tailer = tailer
        self.queue: list[Answer] = []
        self._broker: Broker = network.broker
        self._random: Random = network.random
        self._at_once = network.chaos.reads_at_once
        self._index = index
        self._name = TOPICS.outcomes, slot % PARTITIONS
        self._logs = {place: self._broker.log(log_of(place)) for place in READ}
        self._read = {place: tailer.resume(place) for place in READ}
        self._answered: dict[Place, int] = {}
        self._again: set[Place] = set()

    @property
    def behind(self) -> bool:
        return any(self._read[place] < log.stable_end for place, log in self._logs.items())

    def own(self, places: Collection[Place]) -> Steps:
        """Answer what these places hold since the last answered offset, then go on live."""
        yield
        starts = {place: self.answered_before(place) for place in places}
        reached = {place: max(self._index.position(*place), at) for place, at in starts.items()}
        self.tailer.own(reached)
        self._answered = dict(reached)
        self._again = {place for place in places if starts[place] < reached[place]}
        for place in sorted(self._again):
            at = starts[place]
            while at < reached[place]:
                yield
                records, position = self._logs[place].read(at, self._at_once)
                events = [e for e in event_records(place, records) if e.offset < reached[place]]
                self.queue.extend(answers_of(events))
                at = position
            self._again.discard(place)

    def answered_before(self, place: Place) -> int:
        return self._broker.answered.get(place, 0)

    def disown(self) -> None:
        self.tailer.disown()
        self._answered, self._again = {}, set()

    def read_all(self) -> bool:
        found = [self._read_on(place, EVERYTHING) for place in READ]
        return any(found)

    def read_some(self) -> bool:
        return self._read_on(self._random.choice(READ), self._at_once)

    def _read_on(self, place: Place, limit: int) -> bool:
        """Whether there was anything."""
        before = self._read[place]
        if self._broker.down:
            return False
        records, position = self._logs[place].read(before, limit)
        if position == before:
            return False
        self._read[place] = position
        if place[0] == OUTCOMES:
            self.tailer.on_outcomes(answers_read(records), place, position)
        elif place in SNAPSHOTS:
            self.tailer.on_snapshots(snapshots_in(place, records), place, position)
        else:
            self.queue += self.tailer.on_events(place, event_records(place, records), position)
            if self.tailer.owns(place):
                self._answered[place] = self.tailer.resume(place)
        for wanted in sorted(self.tailer.wanted_ends()):
            self.tailer.on_end(wanted, self._logs[wanted].end)
        return True

    def answer_one(self) -> bool:
        """The idempotent producer delivers what was answered, one after the other."""
        if not self.queue or self._broker.down:
            return False
        self._broker.append(self._name, outcome(self.queue.pop(0), self._broker.now))
        return True

    def commit_answered(self) -> bool:
        """Commit how far is answered, but never past an answer that is still on its way."""
        if not self.queue and not self._broker.down:
            for place, offset in self._answered.items():
                if place not in self._again:
                    self._broker.answered[place] = offset
        return False
