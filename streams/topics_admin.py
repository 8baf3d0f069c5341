"""Makes and checks what stands in `streams/topics.py`.

apply:  table ─► missing? ─► CreateTopics, once ─► leaders seen ─► schemas registered
verify: table ─► there, with partitions, cleanup and timestamps as written ─► partition count
"""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    TopicMetadata,
)

from domain.errors import Unavailable
from streams.broker_wait import REQUEST_S, WITHIN_S, is_away, seconds_left, until_answered
from streams.connection import Connection
from streams.reaching import Reaching
from streams.registry import load_registry, register_all
from streams.topics import Topic, Topics

CHECKED = ("cleanup.policy", "message.timestamp.type")
"""What makes a log wrong when it differs; sizes and retention are the operator's to widen."""


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` did: `what` is `created` or `registered`, `name` a topic or a subject."""

    what: str
    name: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the table as it is on the broker; `state` is `ok`, `missing` or what is wrong."""

    topic: str
    partitions: int
    state: str
    settings: Mapping[str, str]


def apply(
    connection: Connection,
    topics: Topics,
    *,
    partitions: int,
    replication_factor: int = 1,
    registry_url: str | None = None,
    within_s: float = WITHIN_S,
) -> list[Change]:
    """Create the topics and register the schemas that are missing; what is there is only checked.

    The partition count of the first `apply` is kept for ever, since it places every aggregate.
    Raises Unavailable where the broker is away or an existing topic differs.
    """
    broker = Reaching(connection)
    deadline = time.monotonic() + within_s
    found = _found(broker, topics, deadline)
    _check(topics.table(), found, partitions)
    missing = [topic for topic in topics.table() if topic.name not in found]
    created: list[str] = []
    if missing:
        asked = _new_topics(missing, partitions, replication_factor)
        until_answered(lambda: _create(broker.admin, asked, created), deadline)
        # Looked at again: another `apply` may have been faster, with another count.
        found = _found(broker, topics, deadline, required={topic.name for topic in missing})
        _check(topics.table(), found, partitions)
    registered = register_all(load_registry(connection, topics, registry_url), topics)
    return [
        *(Change("created", name) for name in created),
        *(Change("registered", subject) for subject in registered),
    ]


def verify(connection: Connection, topics: Topics, *, within_s: float = WITHIN_S) -> int:
    """The partition count of the topics, all of which are there and as they should be.

    Waits up to `within_s` while the broker starts. Raises Unavailable.
    """
    deadline = time.monotonic() + within_s
    found = _found(Reaching(connection), topics, deadline)
    missing = [topic.name for topic in topics.table() if topic.name not in found]
    if missing:
        raise Unavailable(
            "topics.wrong",
            f"{len(missing)} topics are missing; {', '.join(missing)}; "
            "run `flexcore topics apply` once before services start",
            topics=missing,
        )
    partitions = found[topics.outcomes].partitions
    _check(topics.table(), found, partitions)
    return partitions


def listing(connection: Connection, topics: Topics, *, within_s: float = WITHIN_S) -> list[Listed]:
    """Every topic of the table as it is on the broker. Raises Unavailable."""
    found = _found(Reaching(connection), topics, time.monotonic() + within_s)
    common = found[topics.outcomes].partitions if topics.outcomes in found else None
    rows = []
    for topic in topics.table():
        there = found.get(topic.name)
        if there is None:
            rows.append(Listed(topic.name, 0, "missing", {}))
            continue
        state = "; ".join(_wrong([topic], found, common or there.partitions)) or "ok"
        shown = {name: there.settings.get(name, "") for name in topic.settings}
        rows.append(Listed(topic.name, there.partitions, state, shown))
    return rows


# ── what is there ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _There:
    partitions: int
    settings: Mapping[str, str]


def _found(
    broker: Reaching, topics: Topics, deadline: float, required: Set[str] = frozenset()
) -> dict[str, _There]:
    """The topics of the table that exist, once the required ones do and all have leaders."""
    names = {topic.name for topic in topics.table()}
    admin, reached = broker.admin, False

    def look() -> dict[str, _There] | None:
        nonlocal reached
        try:
            # All topics, not one by one: asking for one may create it where the broker does that.
            metadata = admin.list_topics(timeout=seconds_left(deadline))
        except KafkaException:
            broker.give_up_for_good()
            raise
        reached = True
        there = {name: topic for name, topic in metadata.topics.items() if name in names}
        if not (required <= there.keys() and all(map(_is_led, there.values()))):
            return None
        settings = _settings(admin, there)
        return {name: _There(len(t.partitions), settings[name]) for name, t in there.items()}

    try:
        return until_answered(look, deadline)
    except Unavailable:
        if reached:
            raise
        raise broker.away() from None


def _is_led(topic: TopicMetadata) -> bool:
    partitions = topic.partitions.values()
    return bool(partitions) and all(partition.leader >= 0 for partition in partitions)


def _settings(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = admin.describe_configs(resources, request_timeout=REQUEST_S)
    found: dict[str, dict[str, str]] = {}
    for resource, answer in answers.items():
        entries: dict[str, ConfigEntry] = answer.result()
        found[resource.name] = {name: entry.value or "" for name, entry in entries.items()}
    return found


# ── what is wrong, and what is made ──────────────────────────────────────────────────────


def _wrong(table: Iterable[Topic], found: Mapping[str, _There], partitions: int) -> Iterable[str]:
    for topic in table:
        there = found.get(topic.name)
        if there is None:
            continue
        wanted = topic.partitions or partitions
        if there.partitions != wanted:
            yield f"{topic.name} has {there.partitions} partitions, not {wanted}"
        for name in CHECKED:
            want = topic.settings.get(name)
            if want is not None and there.settings.get(name) != want:
                yield f"{topic.name} has {name}={there.settings.get(name)}, not {want}"


_MENDED = (
    "A partition count is never changed: set FLEXCORE__KAFKA__PARTITIONS to the count that is there. "
    "Give a topic its cleanup policy and timestamp type back with kafka-configs, or use another "
    "FLEXCORE__KAFKA__PREFIX; then run `flexcore topics apply`"
)


def _check(table: Iterable[Topic], found: Mapping[str, _There], partitions: int) -> None:
    wrong = list(_wrong(table, found, partitions))
    if wrong:
        raise Unavailable(
            "topics.wrong",
            f"{'; '.join(wrong)}. {_MENDED}",
            wrong=wrong,
            what=f"{len(wrong)} {'setting' if len(wrong) == 1 else 'settings'} of topics differ",
            cause="; ".join(wrong),
            fix=_MENDED,
        )


def _new_topics(
    missing: Iterable[Topic], partitions: int, replication_factor: int
) -> list[NewTopic]:
    # acks=all is worth as many copies as must be in sync.
    safety = {"min.insync.replicas": str((replication_factor + 1) // 2)}
    return [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions or partitions,
            replication_factor=replication_factor,
            config=topic.settings | safety,
        )
        for topic in missing
    ]


def _create(admin: AdminClient, asked: list[NewTopic], created: list[str]) -> bool:
    """Ask for all topics; adds to `created` what was made, and may be called again."""
    for name, answer in admin.create_topics(asked, operation_timeout=REQUEST_S).items():
        try:
            answer.result()
        except KafkaException as error:
            what: KafkaError = error.args[0]
            # Made by an earlier call that was not answered in time, or by another `apply`.
            if what.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            if is_away(what):
                raise
            raise Unavailable(
                "topics.wrong", f"topic {name} could not be created: {what.str()}"
            ) from error
        created.append(name)
    return True
