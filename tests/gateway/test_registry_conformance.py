"""Confluent's own client, serializer and deserializer against the api process: `/registry` is a registry.

Two versions of one subject stand there, as after a release that has given an event one more field.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaRegistryClient,
    ServerConfig,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from domain.pipeline.pipeline import ActivatePipeline
from schemas import catalogue
from schemas.codec import Codec
from streams import topics_admin
from streams.connection import Connection
from streams.registry import Registry, load_registry
from streams.topics import Topics
from tests.gateway.running_api import RunningApi
from tests.schemas.golden import SAMPLES
from tests.schemas.messages import plain
from tests.stack.isolation import RUN, delete_topics

pytestmark = pytest.mark.kafka

TOPICS = Topics(f"tc{RUN}")
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"
EVENT = "flexcore.pipeline.PipelineActivated"
COMMAND = "flexcore.pipeline.ActivatePipeline"
STATE = "flexcore.pipeline.Pipeline"
EVENTS = f"{TOPICS.prefix}.pipeline.events-{EVENT}"
COMMANDS = f"{TOPICS.prefix}.pipeline.commands-{COMMAND}"
STATES = f"{TOPICS.prefix}.pipeline.snapshots-{STATE}"
NOW = catalogue.committed(EVENT)


def changed(name: str, *more: dict[str, Any], without: str = "") -> str:
    """The schema of a record with fields more, or one less."""
    schema = json.loads(catalogue.committed(name))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != without]
    return json.dumps({**schema, "fields": [*schema["fields"], *more]})


OPTIONAL = {"name": "why", "type": ["null", "string"], "default": None}
LATER = changed(EVENT, OPTIONAL)


@pytest.fixture(scope="module")
def registry(kafka: str) -> Iterator[Registry]:
    """What the api stands on, as a process of its own."""
    connection = Connection(kafka)
    topics_admin.apply(connection, TOPICS, partitions=1)
    yield load_registry(connection, TOPICS)
    delete_topics(kafka, TOPICS.prefix)


@pytest.fixture(scope="module")
def api(
    kafka: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    registry.register({EVENTS: LATER})
    settings = {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": TOPICS.prefix, "DATABASE__URL": NOBODY}
    api = RunningApi(tmp_path_factory.mktemp("registry"), settings)
    try:
        api.wait_ready()
        yield api
    finally:
        api.kill()


@pytest.fixture(scope="module")
def url(api: RunningApi) -> str:
    return f"{api.url}/registry"


@pytest.fixture
def client(url: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": url, "max.retries": 0})


@pytest.fixture(scope="module")
def codec(registry: Registry) -> Codec:
    return registry.codec()


def code_of(refused: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    return refused.value.http_status_code, refused.value.error_code


class TestReading:
    """Subjects, versions, ids."""

    def test_subjects(self, client: SchemaRegistryClient, registry: Registry) -> None:
        subjects = list(registry.subjects())
        assert client.get_subjects() == client.get_subjects(deleted=True) == subjects
        assert client.get_subjects(subject_prefix=f"{TOPICS.prefix}.outcomes") == [
            f"{TOPICS.prefix}.outcomes-flexcore.outcome.Outcome"
        ]
        assert client.get_subjects(offset=1, limit=2) == subjects[1:3]

    def test_versions(self, client: SchemaRegistryClient) -> None:
        assert client.get_versions(EVENTS) == [1, 2]
        assert json.loads(str(client.get_version(EVENTS, 1).schema.schema_str)) == json.loads(NOW)
        latest = client.get_latest_version(EVENTS)
        assert (latest.subject, latest.version) == (EVENTS, 2)
        assert json.loads(str(latest.schema.schema_str)) == json.loads(LATER)

    def test_ids(self, client: SchemaRegistryClient, registry: Registry) -> None:
        number = registry.ids()[EVENT]
        assert client.get_schema(number).schema_str == NOW
        assert client.get_schema(number, subject_name="another-value").schema_str == NOW
        assert client.get_subjects_by_schema_id(number) == [EVENTS]
        (place,) = client.get_schema_versions(number)
        assert (place.subject, place.version) == (EVENTS, 1)

    def test_looking_up(self, client: SchemaRegistryClient, registry: Registry) -> None:
        spaced = Schema(json.dumps(json.loads(NOW), indent=2), "AVRO")
        found = client.lookup_schema(EVENTS, spaced, normalize_schemas=True)
        assert (found.version, found.schema_id) == (1, registry.ids()[EVENT])
        with pytest.raises(SchemaRegistryError) as refused:
            client.lookup_schema(EVENTS, Schema('"int"', "AVRO"))
        assert code_of(refused) == (404, 40403)

    def test_types_contexts_and_references(self, client: SchemaRegistryClient) -> None:
        assert client.get_schema_types() == ["AVRO"]
        assert client.get_contexts() == ["."]
        assert client.get_referenced_by(EVENTS, 1) == []
        assert client.get_associations_by_resource_name("topic", "-") == []

    def test_all_schemas_at_once(self, url: str, registry: Registry) -> None:
        every = httpx2.get(f"{url}/schemas").json()
        latest = httpx2.get(f"{url}/schemas", params={"latestOnly": "true"}).json()
        events = httpx2.get(f"{url}/schemas", params={"subjectPrefix": EVENTS, "limit": 1}).json()

        assert len(every) == len(latest) + 1 == len(registry.subjects()) + 1
        assert [(one["subject"], one["version"]) for one in events] == [(EVENTS, 1)]

    def test_nothing_is_deleted(self, url: str) -> None:
        for path in ("/subjects", f"/subjects/{EVENTS}/versions"):
            assert httpx2.get(url + path, params={"deletedOnly": "true"}).json() == []


class TestWriting:
    """What holds already is confirmed, everything else refused."""

    def test_registering_what_is_there_gives_its_id(
        self, client: SchemaRegistryClient, registry: Registry
    ) -> None:
        assert client.register_schema(EVENTS, Schema(NOW, "AVRO")) == registry.ids()[EVENT]

    @pytest.mark.parametrize("subject", [EVENTS, "mine-value"])
    def test_nothing_new_is_registered(self, client: SchemaRegistryClient, subject: str) -> None:
        with pytest.raises(SchemaRegistryError, match="they come with a release") as refused:
            client.register_schema(subject, Schema('"int"', "AVRO"))
        assert code_of(refused) == (422, 42205)

    def test_nothing_is_deleted(self, client: SchemaRegistryClient) -> None:
        for permanent in (False, True):
            with pytest.raises(SchemaRegistryError, match="for ever") as refused:
                client.delete_subject(EVENTS, permanent=permanent)
            assert code_of(refused) == (422, 42205)
            with pytest.raises(SchemaRegistryError, match="for ever") as refused:
                client.delete_version(EVENTS, 1, permanent=permanent)
            assert code_of(refused) == (422, 42205)
        assert client.get_versions(EVENTS) == [1, 2]

    def test_what_is_not_there_is_not_deleted_either(self, client: SchemaRegistryClient) -> None:
        with pytest.raises(SchemaRegistryError) as refused:
            client.delete_subject("nobody")
        assert code_of(refused) == (404, 40401)
        with pytest.raises(SchemaRegistryError) as refused:
            client.delete_version(EVENTS, 3)
        assert code_of(refused) == (404, 40402)


class TestLevels:
    """Each kind of record has its own, which nobody changes."""

    @pytest.mark.parametrize(
        ("subject", "level"),
        [
            (None, "BACKWARD_TRANSITIVE"),
            (EVENTS, "FULL_TRANSITIVE"),
            (COMMANDS, "BACKWARD_TRANSITIVE"),
            (STATES, "NONE"),
            (f"{TOPICS.prefix}.outcomes-flexcore.outcome.Outcome", "FULL_TRANSITIVE"),
        ],
    )
    def test_levels(self, client: SchemaRegistryClient, subject: str | None, level: str) -> None:
        assert client.get_compatibility(subject) == level
        assert client.get_config(subject).compatibility_level == ConfigCompatibilityLevel(level)
        assert client.set_compatibility(subject, level) == {"compatibility": level}
        same = ServerConfig(compatibility=ConfigCompatibilityLevel(level))
        assert client.set_config(subject, same) == {"compatibility": level}

    @pytest.mark.parametrize("subject", [None, EVENTS, "nobody"])
    def test_no_level_is_changed(self, client: SchemaRegistryClient, subject: str | None) -> None:
        with pytest.raises(SchemaRegistryError) as refused:
            client.set_compatibility(subject, "FORWARD")
        assert code_of(refused) == (422, 42205)
        with pytest.raises(SchemaRegistryError) as refused:
            client.set_compatibility(subject, "SIDEWARD")
        assert code_of(refused) == (422, 42203)
        with pytest.raises(SchemaRegistryError) as refused:
            client.delete_config(subject)
        assert code_of(refused) == ((404, 40401) if subject == "nobody" else (422, 42205))

    def test_a_subject_that_is_not_there_has_the_global_level(
        self, client: SchemaRegistryClient, url: str
    ) -> None:
        with pytest.raises(SchemaRegistryError) as refused:
            client.get_compatibility("nobody")
        assert code_of(refused) == (404, 40408)
        asked = httpx2.get(f"{url}/config/nobody", params={"defaultToGlobal": "true"})
        assert asked.json() == {"compatibilityLevel": "BACKWARD_TRANSITIVE"}

    def test_modes(self, client: SchemaRegistryClient, url: str) -> None:
        assert client.get_global_mode() == client.get_mode(EVENTS) == "READONLY"
        assert client.update_mode(EVENTS, "READONLY") == "READONLY"
        assert client.update_global_mode("READONLY", force=True) == "READONLY"
        for mode, code in (("READWRITE", 42205), ("SIDEWAYS", 42204)):
            with pytest.raises(SchemaRegistryError) as refused:
                client.update_global_mode(mode)
            assert code_of(refused) == (422, code)
        with pytest.raises(SchemaRegistryError) as refused:
            client.delete_mode(EVENTS)
        assert code_of(refused) == (422, 42205)
        with pytest.raises(SchemaRegistryError) as refused:
            client.get_mode("nobody")
        assert code_of(refused) == (404, 40409)
        assert httpx2.get(f"{url}/mode/nobody?defaultToGlobal=true").json() == {"mode": "READONLY"}
        assert httpx2.delete(f"{url}/mode").json()["error_code"] == 42205


class TestCompatibility:
    """Against one version, and against all."""

    def test_what_keeps_to_the_level_is_compatible(self, client: SchemaRegistryClient) -> None:
        more = Schema(changed(EVENT, OPTIONAL, {**OPTIONAL, "name": "whence"}), "AVRO")
        assert client.test_compatibility(EVENTS, more)
        assert client.test_compatibility(EVENTS, more, version=1)
        assert client.test_compatibility_all_versions(EVENTS, more, verbose=True)

    def test_an_event_is_held_to_both_directions(self, client: SchemaRegistryClient) -> None:
        assert not client.test_compatibility(
            EVENTS, Schema(changed(EVENT, {"name": "why", "type": "string"}), "AVRO"), version=1
        )
        assert not client.test_compatibility(
            EVENTS, Schema(changed(EVENT, without="reason"), "AVRO"), version=1
        )

    def test_a_command_is_held_to_one(self, client: SchemaRegistryClient) -> None:
        fewer = Schema(changed(COMMAND, without="reason"), "AVRO")
        more = Schema(changed(COMMAND, {"name": "why", "type": "string"}), "AVRO")
        assert client.test_compatibility(COMMANDS, fewer)
        assert not client.test_compatibility(COMMANDS, more)

    def test_a_state_may_be_anything(self, client: SchemaRegistryClient) -> None:
        assert client.test_compatibility_all_versions(STATES, Schema('"int"', "AVRO"))

    def test_every_version_counts(self, client: SchemaRegistryClient) -> None:
        """`why` has no default, which the second version would do without and the first not."""
        why = Schema(changed(EVENT, {"name": "why", "type": ["null", "string"]}), "AVRO")
        assert client.test_compatibility(EVENTS, why, version=2)
        assert not client.test_compatibility(EVENTS, why, version=1)
        assert not client.test_compatibility_all_versions(EVENTS, why)

    def test_verbose_says_why(self, url: str) -> None:
        body = {"schema": changed(EVENT, without="reason"), "schemaType": "AVRO"}
        answer = httpx2.post(
            f"{url}/compatibility/subjects/{EVENTS}/versions?verbose=true", json=body
        ).json()

        assert answer["is_compatible"] is False
        assert answer["messages"] == [
            f"FORWARD version {version}, reason: the new schema does not have it, "
            f"version {version} has no default; keep the field"
            for version in (1, 2)
        ]

    def test_a_subject_that_is_not_there_takes_anything(self, client: SchemaRegistryClient) -> None:
        """As Confluent's registry answers."""
        assert client.test_compatibility("nobody", Schema('"int"', "AVRO"))
        assert client.test_compatibility_all_versions("nobody", Schema('"int"', "AVRO"))
        with pytest.raises(SchemaRegistryError) as refused:
            client.test_compatibility("nobody", Schema('"int"', "AVRO"), version=1)
        assert code_of(refused) == (404, 40402)

    @pytest.mark.parametrize(
        ("version", "schema", "code"),
        [
            ("3", NOW, 40402),
            ("0", NOW, 42202),
            ("first", NOW, 42202),
            ("latest", "{", 42201),
            ("latest", '"nothing"', 42201),
            ("latest", "[" * 1000, 42201),
            ("latest", '"int"' + " " * 70_000, 42201),
        ],
    )
    def test_what_cannot_be_compared_is_refused(
        self, url: str, version: str, schema: str, code: int
    ) -> None:
        path = f"{url}/compatibility/subjects/{EVENTS}/versions/{version}"
        answer = httpx2.post(path, json={"schema": schema})
        assert answer.json()["error_code"] == code
        assert answer.status_code == code // 100

    def test_verbose_takes_a_schema_that_is_none_as_incompatible(self, url: str) -> None:
        path = f"{url}/compatibility/subjects/{EVENTS}/versions/latest?verbose=true"
        answer = httpx2.post(path, json={"schema": "{"}).json()
        assert answer["is_compatible"] is False
        assert "no Avro" in answer["messages"][0]

    def test_other_kinds_than_avro_are_refused(self, url: str) -> None:
        path = f"{url}/compatibility/subjects/{EVENTS}/versions"
        answer = httpx2.post(path, json={"schema": "message M {}", "schemaType": "PROTOBUF"})
        assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)


def test_an_unknown_path_or_method_is_answered_in_the_registrys_form(url: str) -> None:
    unknown = httpx2.get(f"{url}/exporters")
    method = httpx2.put(f"{url}/subjects")

    assert (unknown.status_code, unknown.json()["error_code"]) == (404, 404)
    assert (method.status_code, method.json()["error_code"]) == (405, 405)
    assert "GET" in method.headers["Allow"]
    assert unknown.json().keys() == method.json().keys() == {"error_code", "message"}


NAMED = [(catalogue.records()[catalogue.full_names()[type(one)]], one) for one in SAMPLES]
SENT = [(record, one) for record, one in NAMED if record.topic.endswith(".commands")]
WRITTEN = [(record, one) for record, one in NAMED if not record.topic.endswith(".commands")]


class TestSerializers:
    """Bytes go from Confluent's serializers to the codec and back, over Kafka."""

    def test_every_event_is_read_by_the_deserializer(
        self, kafka: str, client: SchemaRegistryClient, codec: Codec
    ) -> None:
        """With no more than the registry's address."""
        read = AvroDeserializer(client)
        topic = TOPICS.events("pipeline")
        values = carried(kafka, topic, [codec.encode(message) for _, message in WRITTEN])

        context = SerializationContext(topic, MessageField.VALUE)
        assert [read(value, context) for value in values] == [plain(one) for _, one in WRITTEN]

    def test_every_command_of_the_serializer_is_read_by_the_codec(
        self, kafka: str, client: SchemaRegistryClient, codec: Codec
    ) -> None:
        written = []
        for record, message in SENT:
            topic = f"{TOPICS.prefix}.{record.topic}"
            subject = f"{topic}-{record.full_name}"
            write = AvroSerializer(
                client,
                client.get_latest_version(subject).schema.schema_str,
                conf={
                    "auto.register.schemas": False,
                    "use.latest.version": True,
                    "subject.name.strategy": topic_record_subject_name_strategy,
                },
            )
            written.append(write(plain(message), SerializationContext(topic, MessageField.VALUE)))

        values = carried(kafka, TOPICS.commands("pipeline"), written)
        assert [codec.decode(value) for value in values] == [message for _, message in SENT]

    def test_a_serializer_that_is_told_its_subject_needs_no_schema(
        self, client: SchemaRegistryClient, codec: Codec
    ) -> None:
        write = AvroSerializer(
            client,
            conf={
                "auto.register.schemas": False,
                "use.latest.version": True,
                "subject.name.strategy": lambda _context, _record: COMMANDS,
            },
        )
        context = SerializationContext(TOPICS.commands("pipeline"), MessageField.VALUE)
        sent = ActivatePipeline("p1", "it is time")
        assert codec.decode(write(plain(sent), context)) == sent

    def test_a_serializer_that_registers_by_itself_may_do_so_with_what_is_there(
        self, client: SchemaRegistryClient, codec: Codec
    ) -> None:
        """The default of Confluent's clients."""
        strategy = {"subject.name.strategy": topic_record_subject_name_strategy}
        context = SerializationContext(TOPICS.commands("pipeline"), MessageField.VALUE)
        sent = ActivatePipeline("p1", "it is time")
        write = AvroSerializer(client, catalogue.committed(COMMAND), conf=strategy)
        assert codec.decode(write(plain(sent), context)) == sent
        other = AvroSerializer(client, changed(COMMAND, OPTIONAL), conf=strategy)
        with pytest.raises(SchemaRegistryError, match="they come with a release"):
            other({**plain(sent), "why": None}, context)


def carried(kafka: str, topic: str, values: list[bytes]) -> list[bytes]:
    """What a consumer reads of records that were written with these values."""
    mark = uuid.uuid4().bytes
    producer = Producer(Connection(kafka).client())
    for value in values:
        producer.produce(topic, key=mark, value=value, partition=0)
    assert producer.flush(30) == 0
    consumer = Consumer(Connection(kafka).client(group_id="unused", enable_auto_commit=False))
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        found: list[bytes] = []
        while len(found) < len(values):
            record = consumer.poll(30)
            assert record is not None, f"{len(found)} of {len(values)} records came"
            if record.error() is None and record.key() == mark:
                found.append(record.value() or b"")
        return found
    finally:
        consumer.close()
