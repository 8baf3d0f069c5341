"""The registry as other parties see it: Confluent's own client over HTTP on loopback."""

import json
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest
import uvicorn
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastapi import FastAPI

from domain.errors import NotFound, Unavailable
from gateway.rest.registry import registry_router
from gateway.rest.registry_form import MEDIA_TYPE
from schemas import catalogue
from streams import topics_admin
from streams.connection import Connection
from streams.registry import Registry, load_registry
from streams.topics import Topics
from tests.stack.isolation import RUN, delete_topics

pytestmark = pytest.mark.kafka

TOPICS = Topics(f"tr{RUN}")
CREATED = "flexcore.pipeline.PipelineCreated"
SUBJECT = f"{TOPICS.prefix}.pipeline.events-{CREATED}"
TEXT = catalogue.committed(CREATED)


@pytest.fixture(scope="module")
def registry(kafka: str) -> Iterator[Registry]:
    """The embedded registry; no test here writes to it, so one serves them all."""
    topics_admin.apply(Connection(kafka), TOPICS, partitions=1)
    yield load_registry(Connection(kafka), TOPICS)
    delete_topics(kafka, TOPICS.prefix)


@pytest.fixture(scope="module")
def url(registry: Registry) -> Iterator[str]:
    app = FastAPI()
    app.include_router(registry_router(registry), prefix="/registry")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    # Bound before the server starts, so that requests wait in the backlog until it answers.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/registry"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def client(url: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": url})


def test_a_foreign_producer_gets_the_id_of_the_latest_schema(
    client: SchemaRegistryClient, registry: Registry
) -> None:
    latest = client.get_latest_version(SUBJECT)
    assert (latest.subject, latest.version) == (SUBJECT, 1)
    assert latest.schema_id == registry.ids()[CREATED]
    assert latest.schema.schema_str == TEXT


def test_a_foreign_consumer_gets_the_schema_of_an_id(
    client: SchemaRegistryClient, registry: Registry
) -> None:
    found = client.get_schema(registry.ids()[CREATED])
    assert (found.schema_str, found.schema_type) == (TEXT, "AVRO")


def test_subjects_and_versions_can_be_listed(
    client: SchemaRegistryClient, registry: Registry
) -> None:
    assert client.get_subjects() == list(registry.subjects())
    assert client.get_versions(SUBJECT) == [1]
    assert client.get_version(SUBJECT, 1).schema.schema_str == TEXT


def test_a_schema_knows_its_places(client: SchemaRegistryClient, registry: Registry) -> None:
    (place,) = client.get_schema_versions(registry.ids()[CREATED])
    assert (place.subject, place.version) == (SUBJECT, 1)
    assert client.get_subjects_by_schema_id(registry.ids()[CREATED]) == [SUBJECT]


def test_a_schema_is_found_however_it_is_written(
    client: SchemaRegistryClient, registry: Registry
) -> None:
    spaced = json.dumps(json.loads(TEXT), indent=4)
    found = client.lookup_schema(SUBJECT, Schema(spaced, "AVRO"))
    assert found.schema_id == registry.ids()[CREATED]


def test_a_serializer_that_registers_first_gets_the_id_that_is_there(
    client: SchemaRegistryClient, registry: Registry
) -> None:
    assert client.register_schema(SUBJECT, Schema(TEXT, "AVRO")) == registry.ids()[CREATED]


def test_nothing_new_is_registered_from_outside(client: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema("mine-value", Schema('"int"', "AVRO"))
    assert (refused.value.http_status_code, refused.value.error_code) == (422, 42205)


def test_the_fixed_answers(client: SchemaRegistryClient) -> None:
    assert client.get_schema_types() == ["AVRO"]
    assert client.get_compatibility() == "BACKWARD_TRANSITIVE"
    assert client.get_global_mode() == "READONLY"


@pytest.mark.parametrize(
    ("path", "status", "error_code"),
    [
        ("/subjects/nobody/versions", 404, 40401),
        ("/subjects/nobody/versions/latest", 404, 40401),
        (f"/subjects/{SUBJECT}/versions/2", 404, 40402),
        (f"/subjects/{SUBJECT}/versions/0", 422, 42202),
        (f"/subjects/{SUBJECT}/versions/first", 422, 42202),
        (f"/subjects/{SUBJECT}/versions/99999999999999", 422, 42202),
        ("/schemas/ids/999", 404, 40403),
        ("/schemas/ids/999/versions", 404, 40403),
        ("/schemas/ids/x", 422, 422),
    ],
)
def test_errors_have_the_form_and_the_codes_that_clients_know(
    url: str, path: str, status: int, error_code: int
) -> None:
    answer = httpx2.get(url + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json().keys() == {"error_code", "message"}
    assert answer.json()["error_code"] == error_code


@pytest.mark.parametrize(
    ("subject", "body", "error_code"),
    [
        ("nobody", {"schema": '"int"'}, 40401),
        (SUBJECT, {"schema": '"int"'}, 40403),
        (SUBJECT, {"schema": "{"}, 42201),
        (SUBJECT, {"schema": "[" * 100_000}, 42201),
        (SUBJECT, {"schema": '"int"', "schemaType": "PROTOBUF"}, 42201),
        (SUBJECT, {}, 422),
        (SUBJECT, [], 422),
    ],
)
def test_a_lookup_that_fails_says_why(
    url: str, subject: str, body: object, error_code: int
) -> None:
    answer = httpx2.post(f"{url}/subjects/{subject}", json=body)
    assert answer.json()["error_code"] == error_code


def test_successes_have_the_registrys_media_type(url: str) -> None:
    assert httpx2.get(f"{url}/subjects").headers["content-type"] == MEDIA_TYPE
    assert httpx2.get(f"{url}/subjects/{SUBJECT}/versions/1/schema").json() == json.loads(TEXT)
    assert httpx2.get(f"{url}/subjects/{SUBJECT}/versions/-1").json()["version"] == 1


class TestExternalRegistry:
    """An external registry by setting; ours over HTTP stands for the other party."""

    @pytest.fixture
    def external(self, kafka: str, url: str) -> Registry:
        return load_registry(Connection(kafka), TOPICS, url)

    def test_it_answers_as_the_embedded_one(self, external: Registry, registry: Registry) -> None:
        assert external.ids() == registry.ids()
        assert external.subjects() == registry.subjects()
        assert external.versions(SUBJECT) == registry.versions(SUBJECT)
        assert external.version(SUBJECT, "latest") == registry.version(SUBJECT, "latest")
        assert external.places(1) == registry.places(1)
        assert external.schema(1) == registry.schema(1)

    def test_what_is_not_there_is_not_there(self, external: Registry) -> None:
        assert external.schema(999) is None
        assert external.versions("nobody") == []
        assert external.find("nobody", '"int"') is None
        with pytest.raises(NotFound):
            external.version("nobody", "latest")

    def test_what_is_registered_is_left_alone(self, external: Registry) -> None:
        assert external.register({SUBJECT: TEXT}) == []

    def test_a_refusal_is_passed_on_in_its_words(self, external: Registry) -> None:
        with pytest.raises(Unavailable, match="read-only"):
            external.register({"mine-value": '"int"'})

    def test_a_registry_that_is_away_is_unavailable(self, kafka: str) -> None:
        away = load_registry(Connection(kafka), TOPICS, "http://127.0.0.1:1")
        with pytest.raises(Unavailable, match="no answer from the registry"):
            away.subjects()
