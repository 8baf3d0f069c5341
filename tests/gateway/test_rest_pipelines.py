"""The REST door's promises about pipelines, over the judge and the folds in memory."""

import uuid

import pytest

from tests.gateway.memory_stack import PIPELINE, STEP, MemoryStack, SilentBus, create

REVISED = {"name": "Weather", "steps": [STEP, {"id": "more", "uses": "flexcore.derive"}]}


def test_created_pipeline_is_answered_with_its_shape_place_version_and_position(
    stack: MemoryStack,
) -> None:
    answer = stack.client.post("/v1/pipelines", json=PIPELINE)

    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/pipelines/weather"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["FlexCore-Position"].startswith("pipeline/")
    shape = answer.json()
    assert shape | PIPELINE == shape
    assert (shape["status"], shape["revision"], shape["version"]) == ("draft", 1, 1)
    assert shape["created_at"] == "2026-03-01T12:00:00Z"


def test_pipeline_that_exists_is_not_created_again(stack: MemoryStack) -> None:
    create(stack)

    answer = stack.client.post("/v1/pipelines", json=PIPELINE)

    assert (answer.status_code, answer.json()["code"]) == (409, "pipeline.already_exists")


def test_same_key_and_content_get_the_same_answer(stack: MemoryStack) -> None:
    headers = {"Idempotency-Key": '"order 66"'}

    first = stack.client.post("/v1/pipelines", json=PIPELINE, headers=headers)
    again = stack.client.post("/v1/pipelines", json=PIPELINE, headers=headers)

    assert (again.status_code, again.json()) == (201, first.json())
    assert stack.store.version("pipeline", "weather") == 1


def test_same_key_with_other_content_is_refused(stack: MemoryStack) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    stack.client.post("/v1/pipelines", json=PIPELINE, headers=headers)

    other = stack.client.post("/v1/pipelines", json=PIPELINE | {"name": "Other"}, headers=headers)

    assert (other.status_code, other.json()["code"]) == (422, "command.id_reused")


def test_uuid_as_idempotency_key_is_the_command_id(stack: MemoryStack) -> None:
    key = str(uuid.uuid4())
    stack.client.post("/v1/pipelines", json=PIPELINE, headers={"Idempotency-Key": key.upper()})

    events = stack.client.get("/v1/streams/pipeline/weather/events").json()["items"]

    assert [event["command_id"] for event in events] == [key]


def test_revision_never_creates(stack: MemoryStack) -> None:
    answer = stack.client.put("/v1/pipelines/absent", json=REVISED)

    assert (answer.status_code, answer.json()["code"]) == (404, "pipeline.not_found")


def test_revision_keeps_the_status_and_counts_up(stack: MemoryStack) -> None:
    create(stack)
    stack.client.post("/v1/pipelines/weather/activate")

    answer = stack.client.put("/v1/pipelines/weather", json=REVISED)

    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"3"'
    shape = answer.json()
    assert (shape["status"], shape["revision"], len(shape["steps"])) == ("active", 2, 2)


def test_revision_names_the_same_pipeline_in_path_and_body(stack: MemoryStack) -> None:
    create(stack)

    answer = stack.client.put("/v1/pipelines/weather", json=REVISED | {"pipeline_id": "other"})

    assert (answer.status_code, answer.json()["code"]) == (422, "command.wrong_key")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"1"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"7"'}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": "new"}, 422),
        ({"If-None-Match": '"1"'}, 422),
        ({"If-Match": '"1"', "If-None-Match": "*"}, 422),
    ],
)
def test_write_with_a_condition_is_judged_by_it(
    stack: MemoryStack, headers: dict[str, str], status: int
) -> None:
    create(stack)

    answer = stack.client.post("/v1/pipelines/weather/activate", headers=headers)

    assert answer.status_code == status, answer.text
    if status != 200:
        assert stack.store.version("pipeline", "weather") == 1


def test_activating_twice_changes_nothing_and_is_no_error(stack: MemoryStack) -> None:
    create(stack)
    first = stack.client.post("/v1/pipelines/weather/activate", json={"reason": "ready"})
    again = stack.client.post("/v1/pipelines/weather/activate")

    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["ETag"] == '"2"'


def test_pausing_and_archiving_are_shown_and_stop_new_runs(stack: MemoryStack) -> None:
    create(stack)
    stack.client.post("/v1/pipelines/weather/activate")

    paused = stack.client.post("/v1/pipelines/weather/pause", json={"reason": "source down"})
    refused = stack.client.post("/v1/pipelines/weather/executions", json={})
    archived = stack.client.post("/v1/pipelines/weather/archive")
    again = stack.client.post("/v1/pipelines/weather/activate")

    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert (refused.status_code, refused.json()["code"]) == (409, "pipeline.not_active")
    assert (archived.status_code, archived.json()["status"]) == (200, "archived")
    assert (again.status_code, again.json()["code"]) == (409, "pipeline.archived")


def test_deleting_a_pipeline_archives_it(stack: MemoryStack) -> None:
    create(stack)

    answer = stack.client.delete("/v1/pipelines/weather")

    assert (answer.status_code, answer.json()["status"]) == (200, "archived")
    assert answer.headers["ETag"] == '"2"'


def test_late_read_model_leaves_the_outcome_as_the_answer(stack: MemoryStack) -> None:
    stack.reads.late = True

    answer = stack.client.post("/v1/pipelines", json=PIPELINE)

    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    outcome = answer.json()
    assert (outcome["status"], outcome["versions"]) == ("accepted", [1])
    assert outcome["position"] == answer.headers["FlexCore-Position"]


def test_write_succeeds_while_the_database_is_away(stack: MemoryStack) -> None:
    stack.reads.away = True

    assert stack.client.post("/v1/pipelines", json=PIPELINE).json()["status"] == "accepted"

    read = stack.client.get("/v1/pipelines/weather")
    assert (read.status_code, read.headers["Retry-After"]) == (503, "1")


def test_unseen_answer_names_the_command_to_ask_again_with() -> None:
    stack = MemoryStack(bus=SilentBus())
    key = str(uuid.uuid4())

    answer = stack.client.post("/v1/pipelines", json=PIPELINE, headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome.unknown")
    assert answer.json()["command_id"] == key


def test_read_answers_no_older_data_than_asked_for(stack: MemoryStack) -> None:
    position = stack.client.post("/v1/pipelines", json=PIPELINE).headers["FlexCore-Position"]

    fresh = stack.client.get("/v1/pipelines/weather", headers={"FlexCore-Min-Position": position})
    ahead = stack.client.get(
        "/v1/pipelines/weather",
        headers={"FlexCore-Min-Position": "pipeline/0@999", "Prefer": "wait=0"},
    )
    nonsense = stack.client.get("/v1/pipelines", headers={"FlexCore-Min-Position": "soon"})

    assert fresh.status_code == 200
    assert (ahead.status_code, ahead.json()["code"]) == (504, "read_model.behind")
    assert (nonsense.status_code, nonsense.json()["code"]) == (422, "query.invalid")


def test_known_version_is_not_sent_again(stack: MemoryStack) -> None:
    create(stack)

    known = stack.client.get("/v1/pipelines/weather", headers={"If-None-Match": 'W/"9", "1"'})
    other = stack.client.get("/v1/pipelines/weather", headers={"If-None-Match": '"9"'})

    assert (known.status_code, known.content) == (304, b"")
    assert (other.status_code, other.headers["ETag"]) == (200, '"1"')


def test_list_shows_a_page_and_how_many_there_are(stack: MemoryStack) -> None:
    for pipeline_id in ("a", "b", "c"):
        create(stack, pipeline_id)
    stack.client.post("/v1/pipelines/b/activate")

    page = stack.client.get("/v1/pipelines", params={"limit": 2}).json()
    active = stack.client.get("/v1/pipelines", params={"status": "active"}).json()

    assert (len(page["items"]), page["total"]) == (2, {"count": 3, "capped": False})
    assert [item["pipeline_id"] for item in active["items"]] == ["b"]


@pytest.mark.parametrize("query", ["status=odd", "stauts=active", "limit=many"])
def test_filter_that_makes_no_sense_is_refused(stack: MemoryStack, query: str) -> None:
    answer = stack.client.get(f"/v1/pipelines?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


@pytest.mark.parametrize("local_id", ["acme~weather", "~", "x" * 129])
def test_no_id_reaches_into_another_tenant_or_past_what_the_owner_answers(
    stack: MemoryStack, local_id: str
) -> None:
    read = stack.client.get(f"/v1/pipelines/{local_id}")
    write = stack.client.post(f"/v1/pipelines/{local_id}/activate")
    stream = stack.client.get(f"/v1/streams/pipeline/{local_id}/events")

    assert [read.status_code, write.status_code, stream.status_code] == [404, 422, 404]
    assert write.json()["code"] == "pipeline.invalid_id"


def test_definition_that_cannot_run_is_refused_with_all_its_faults(stack: MemoryStack) -> None:
    steps = [{"id": "a", "uses": "nothing"}, {"id": "a", "uses": "flexcore.x", "needs": ["b"]}]

    answer = stack.client.post("/v1/pipelines", json=PIPELINE | {"steps": steps})

    assert (answer.status_code, answer.json()["code"]) == (422, "pipeline.invalid_definition")
    for fault in ("used twice", "publisher.name", "no step of this pipeline"):
        assert fault in answer.json()["detail"]
