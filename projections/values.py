"""From what events hold to what the rows show: JSON values, local ids, steps as in a pipeline file."""

from datetime import datetime
from typing import Any

import orjson

from domain.definition import OnError, Step
from domain.schedule import Schedule

JSON_OPTIONS = orjson.OPT_UTC_Z
DEFAULT_TENANT = "default"

_DEEPER = 16
"""Levels that a row puts around a value; orjson writes 254 in all and reads more."""


def dumps(value: Any) -> bytes:
    """Compact JSON; times are RFC 3339 with `Z`, dataclasses are objects."""
    return orjson.dumps(value, option=JSON_OPTIONS)


def json_value(text: str) -> Any:
    """The value in a JSON text; what strict JSON cannot say (`NaN`, 300 levels) stays its text.

    A row that could not be written would stop its partition, so this never raises.
    """
    try:
        value = orjson.loads(text)
        wrapped = value
        for _ in range(_DEEPER):
            wrapped = [wrapped]
        orjson.dumps(wrapped)
    except (ValueError, TypeError, RecursionError):
        return text
    return value


def moment(text: str | None) -> datetime | None:
    """A time as it was written, if there is one."""
    return datetime.fromisoformat(text) if text else None


def tenant_of(aggregate_id: str) -> str:
    """`default`, unless the id says otherwise (`<tenant>~<local id>`)."""
    tenant, mark, _ = aggregate_id.partition("~")
    return tenant if mark else DEFAULT_TENANT


def local_id(aggregate_id: str) -> str:
    """The id as its tenant knows it."""
    return aggregate_id.partition("~")[2] or aggregate_id


def aggregate_id_of(tenant: str, local: str) -> str:
    """The opposite of `tenant_of` and `local_id`."""
    return local if tenant == DEFAULT_TENANT else f"{tenant}~{local}"


def column_text(text: str) -> str:
    """What a text column can hold: PostgreSQL refuses NUL, an event does not."""
    return text.replace("\0", "\ufffd")


def step_value(step: Step) -> dict[str, Any]:
    """A step as in the pipeline file, defaults left out."""
    value: dict[str, Any] = {"id": step.id, "uses": step.uses}
    if step.needs:
        value["needs"] = list(step.needs)
    if step.with_json != "{}":
        value["with"] = json_value(step.with_json)
    if step.when is not None:
        value["when"] = step.when
    if step.on_error is not OnError.FAIL:
        value["on_error"] = step.on_error.value
    if step.timeout_s is not None:
        value["timeout_s"] = step.timeout_s
    if (retry := step.retry) is not None:
        value["retry"] = {
            "attempts": retry.attempts,
            "initial_s": retry.initial_s,
            "factor": retry.factor,
            "max_s": retry.max_s,
            "jitter": retry.jitter,
        }
    return value


def schedule_value(schedule: Schedule | None) -> dict[str, Any] | None:
    """A schedule as in the pipeline file, an empty input left out."""
    if schedule is None:
        return None
    value = {
        "cron": schedule.cron,
        "zone": schedule.zone,
        "catch_up": schedule.catch_up.value,
    }
    if schedule.input_json == "{}":
        return value
    return {**value, "input": json_value(schedule.input_json)}
