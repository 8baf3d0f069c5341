"""Topics, partitions and codec that the simulation works with."""

from functools import cache

from schemas import catalogue
from schemas.codec import Codec
from streams.kafka_tailer import read_back
from streams.snapshots import snapshots_place
from streams.stream_index import OUTCOMES
from streams.topics import Topics
from streams.turn import Place
from tests.simulation.broker import LogName

TOPICS = Topics("t")
PARTITIONS = 2
CONTEXTS = ("pipeline", "execution")
CODEC = Codec({name: number for number, name in enumerate(catalogue.records(), 1)})
PLACES: tuple[Place, ...] = tuple((c, p) for c in CONTEXTS for p in range(PARTITIONS))
SNAPSHOTS: tuple[Place, ...] = tuple((snapshots_place(c), p) for c, p in PLACES)
READ: tuple[Place, ...] = (*PLACES, *SNAPSHOTS, *((OUTCOMES, p) for p in range(PARTITIONS)))
"""What a tailer reads."""
_NAMED = {name: topic for topic, name in read_back(TOPICS).items()}
_EVENTS = {TOPICS.events(context): context for context in CONTEXTS}


def log_of(place: Place) -> LogName:
    return _NAMED[place[0]], place[1]


@cache
def commands(place: Place) -> LogName:
    return TOPICS.commands(place[0]), place[1]


def context_of(topic: str) -> str | None:
    """The context whose events stand on a topic."""
    return _EVENTS.get(topic)
