"""The REST door's promises about schedules, over the judge and the folds in memory."""

from tests.gateway.memory_stack import PIPELINE, MemoryStack

SCHEDULE = {"cron": "0 6 * * 1-5", "zone": "Europe/Berlin", "catch_up": "none"}
SCHEDULED = PIPELINE | {"schedule": SCHEDULE}


def test_a_pipeline_shows_its_schedule_and_while_it_is_active_the_next_time(
    stack: MemoryStack,
) -> None:
    made = stack.client.post("/v1/pipelines", json=SCHEDULED).json()
    assert (made["schedule"], made["next_run_at"]) == (SCHEDULE, None)

    active = stack.client.post("/v1/pipelines/weather/activate").json()
    assert active["next_run_at"] == "2026-03-02T05:00:00Z"

    paused = stack.client.post("/v1/pipelines/weather/pause").json()
    assert (paused["schedule"], paused["next_run_at"]) == (SCHEDULE, None)


def test_what_a_schedule_leaves_out_has_its_default(stack: MemoryStack) -> None:
    body = PIPELINE | {"schedule": {"cron": "*/5 * * * *"}}

    made = stack.client.post("/v1/pipelines", json=body).json()

    assert made["schedule"] == {"cron": "*/5 * * * *", "zone": "UTC", "catch_up": "latest"}


def test_another_schedule_is_another_revision_and_none_ends_it(stack: MemoryStack) -> None:
    stack.client.post("/v1/pipelines", json=SCHEDULED)

    same = stack.client.put("/v1/pipelines/weather", json=SCHEDULED).json()
    none = stack.client.put("/v1/pipelines/weather", json=PIPELINE).json()

    assert (same["revision"], none["revision"], none["schedule"]) == (1, 2, None)


def test_a_schedule_that_cannot_be_kept_is_refused_with_all_reasons(stack: MemoryStack) -> None:
    wrong = {"cron": "59/1 * * * *", "zone": "Europe/Berlln"}

    answer = stack.client.post("/v1/pipelines", json=PIPELINE | {"schedule": wrong})

    assert (answer.status_code, answer.json()["code"]) == (422, "pipeline.invalid_definition")
    assert "schedule.cron: minute '59/1'" in answer.json()["detail"]
    assert "schedule.zone: there is no time zone 'Europe/Berlln'" in answer.json()["detail"]


def test_a_schedule_comes_as_a_command_by_name_too_and_stands_in_the_event(
    stack: MemoryStack,
) -> None:
    given = SCHEDULE | {"input": {"day": 1}}
    definition = {"steps": PIPELINE["steps"]}
    data = {"name": "Weather", "definition": definition, "schedule": given}
    command = {"type": "CreatePipeline", "aggregate_id": "weather", "data": data}

    answer = stack.client.post("/v1/commands", json=command)

    assert answer.json()["status"] == "accepted"
    (event,) = stack.client.get("/v1/streams/pipeline/weather/events").json()["items"]
    assert event["data"]["schedule"] == given


def test_a_run_that_somebody_started_is_for_no_time(stack: MemoryStack) -> None:
    stack.client.post("/v1/pipelines", json=SCHEDULED)
    stack.client.post("/v1/pipelines/weather/activate")

    run = stack.client.post("/v1/pipelines/weather/executions", json={}).json()

    assert run["scheduled_for"] is None
