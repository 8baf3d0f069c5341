"""What must hold of the log and the answers on it at any moment, whatever happened before."""

from collections import defaultdict

from streams.answers import ACCEPTED, UNAVAILABLE
from streams.records import header_map, text
from streams.topics import parse_event_key
from tests.streams.driven_worker import given_answers
from tests.streams.kafka_model import TOPICS, Kafka, Stored

Sent = tuple[tuple[str, str, str], str]
"""A command by identity and content."""


def identity_of(topic: str, stored: Stored) -> tuple[str, str, str]:
    context = next(c for c in ("pipeline", "execution") if TOPICS.events(c) == topic)
    aggregate_id, _ = parse_event_key(stored.key or b"")
    return context, aggregate_id, text(header_map(stored.headers), "ce_commandid")


def history_is_whole(kafka: Kafka) -> None:
    """P2, P3, P4: versions 1..n in order; a command's events once, all of them, together."""
    versions: dict[tuple[str, str], int] = defaultdict(int)
    parts: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for context in ("pipeline", "execution"):
        topic = TOPICS.events(context)
        for stored in kafka.committed(topic):
            aggregate_id, version = parse_event_key(stored.key or b"")
            assert version == versions[context, aggregate_id] + 1
            versions[context, aggregate_id] = version
            headers = header_map(stored.headers)
            index, count = (text(headers, f"ce_txn{part}") for part in ("index", "count"))
            parts[identity_of(topic, stored)].append((int(index), int(count)))
    for identity, found in parts.items():
        assert found == [(n, len(found)) for n in range(len(found))], identity


def answers_hold(kafka: Kafka) -> None:
    """P1, P2: the same content always hears the same, and what it hears is in the log."""
    made = defaultdict(list)
    for context in ("pipeline", "execution"):
        topic = TOPICS.events(context)
        for stored in kafka.committed(topic):
            made[identity_of(topic, stored)].append(parse_event_key(stored.key or b"")[1])
    said: dict[Sent, tuple[str, str, tuple[int, ...]]] = {}
    decided: dict[tuple[str, str, str], str] = {}
    for answer in given_answers(kafka):
        status, code, versions = answer.said
        if status == UNAVAILABLE:
            continue
        assert said.setdefault((answer.identity, answer.hash), answer.said) == answer.said
        if code != "command.id_reused":
            assert decided.setdefault(answer.identity, answer.hash) == answer.hash
        if status == ACCEPTED:
            assert made[answer.identity] == list(versions)
