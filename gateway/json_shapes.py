"""The public shapes of events, outcomes and commands; times are RFC 3339 UTC.

EventRecord ─► event_json        Answer ─► outcome_json        JSON ─► command_from_json ─► message
"""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import AwareDatetime, BaseModel, Field, create_model

from domain.contexts import CONTEXTS, Context
from domain.definition import Definition
from domain.errors import FlexCoreError, Invalid, Unreadable, error_of
from domain.schedule import Schedule
from gateway.pipeline_file import DefinitionIn, ScheduleIn, json_text
from gateway.problems import problem
from gateway.strict import Int32, Strict, checked
from projections.values import json_value, local_id, schedule_value, step_value
from schemas.codec import Codec
from streams.answers import Answer
from streams.positions import position_text
from streams.records import EventRecord, text

_JSON = "_json"
_IDS = frozenset(context.id_field for context in CONTEXTS.values())
_OPTIONAL: Mapping[str, Any] = {"description": "", "reason": "", "deadline_s": None, "priority": 0}


# ── events ───────────────────────────────────────────────────────────────────────────────


def event_json(record: EventRecord, codec: Codec) -> dict[str, Any]:
    """The public shape of an event; `data` is `null` where it was pruned or cannot be read."""
    headers = record.headers
    return {
        "id": record.event_id,
        "type": record.type.rpartition(".")[2],
        "aggregate_id": local_id(record.aggregate_id),
        "version": record.version,
        "time": text(headers, "ce_time"),
        "tenant_id": text(headers, "ce_tenantid"),
        "actor_id": text(headers, "ce_actorid"),
        "command_id": record.command_id,
        "correlation_id": text(headers, "ce_correlationid"),
        "causation_id": text(headers, "ce_causationid"),
        "position": position_text({(record.context, record.partition): record.offset}),
        **_data(record, codec),
    }


def _data(record: EventRecord, codec: Codec) -> dict[str, Any]:
    if record.value is None:
        return {"data": None}
    try:
        return {"data": body_json(codec.decode(record.value))}
    except Unreadable as error:
        # One event that no schema explains must not hide the others.
        return {"data": None, "unreadable": error.message}


def body_json(message: object) -> dict[str, Any]:
    """A message's fields: JSON texts as JSON, the definition as in the pipeline file, local ids."""
    cls: Any = type(message)
    return {
        shown: show(getattr(message, name)) if show else getattr(message, name)
        for name, shown, show in _shown(cls)
    }


@cache
def _shown(cls: type) -> tuple[tuple[str, str, Callable[[Any], Any] | None], ...]:
    """(field, name in JSON, how its value is shown, `None` where as it is)."""
    found: list[tuple[str, str, Callable[[Any], Any] | None]] = []
    for name, hint in get_type_hints(cls).items():
        if name.endswith(_JSON):
            found.append((name, _json_name(name), json_value))
        elif name in _IDS:
            found.append((name, name, local_id))
        else:
            found.append((name, name, _SHOWN.get(hint)))
    return tuple(found)


def _definition_json(definition: Definition) -> dict[str, Any]:
    return {"steps": [step_value(step) for step in definition.steps]}


_SHOWN: Mapping[Any, Callable[[Any], Any]] = {
    Definition: _definition_json,
    Schedule | None: schedule_value,
}
"""How values of a type are shown; others as they are."""


# ── outcomes ─────────────────────────────────────────────────────────────────────────────


def outcome_json(answer: Answer) -> dict[str, Any]:
    """What became of a command; `error` is the problem of one that was refused."""
    found = {
        "command_id": answer.identity.command_id,
        "status": answer.status,
        "aggregate_id": local_id(answer.identity.aggregate_id),
        "versions": list(answer.versions),
        "position": answer.position,
    }
    return found | ({"error": problem(refusal(answer))} if answer.error_code else {})


def failure_json(error: FlexCoreError, command_id: str, aggregate_id: str) -> dict[str, Any]:
    """The outcome of a command whose answer did not come: `refused`, `unavailable`, `unknown`."""
    status = {503: "unavailable", 429: "unavailable", 504: "unknown"}
    return {
        "command_id": command_id,
        "status": status.get(error.http_status, "refused"),
        "aggregate_id": aggregate_id,
        "versions": [],
        "position": "",
        "error": problem(error),
    }


def refusal(answer: Answer) -> FlexCoreError:
    """A refused answer as the error that a door maps."""
    return error_of(answer.error_code, answer.error_message, command_id=answer.identity.command_id)


# ── commands ─────────────────────────────────────────────────────────────────────────────


@cache
def _commands() -> dict[str, tuple[Context, type]]:
    return {
        cls.__name__: (context, cls) for context in CONTEXTS.values() for cls in context.commands
    }


def command_class(type_name: str) -> tuple[Context, type]:
    """Context and class of a command by its name, short or full. Raises Invalid."""
    short = type_name.rpartition(".")[2]
    found = _commands().get(short)
    if found is None or type_name not in (short, f"flexcore.{found[0].name}.{short}"):
        known = ", ".join(_commands())
        raise Invalid("command.unknown_type", f"{type_name[:100]!r} is no command; known: {known}")
    return found


def command_from_json(
    type_name: str, local: str, data: Mapping[str, Any], *, tenant_prefix: str = ""
) -> Any:
    """The command `type_name` for the aggregate with that local id. Raises Invalid.

    `tenant_prefix` (`<tenant>~`) makes local ids in `data` into aggregate ids.
    """
    context, cls = command_class(type_name)
    given = checked(_model_of(cls), data, code="command.invalid", place="data")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        value = getattr(given, _json_name(field.name))
        if field.name == context.id_field and value is None:
            value = local
        if field.name == context.id_field and value != local:
            raise Invalid(
                "command.wrong_key",
                f"data.{field.name} is {value!r}, aggregate_id is {local!r}; they must be equal",
            )
        if field.name in _IDS:
            value = tenant_prefix + value
        values[field.name] = _value(field.name, value)
    return cls(**values)


def _value(name: str, value: Any) -> Any:
    if name.endswith(_JSON):
        return json_text(value, f"data.{_json_name(name)}", "command.invalid")
    if isinstance(value, DefinitionIn):
        return value.definition("command.invalid")
    return value.value("command.invalid") if isinstance(value, ScheduleIn) else value


def _json_name(field: str) -> str:
    return field.removesuffix(_JSON)


_READ: Mapping[Any, Any] = {
    Definition: (DefinitionIn, ...),
    Schedule | None: (ScheduleIn | None, None),
    # As text: in strict models only Python's own values would pass.
    datetime | None: (Annotated[AwareDatetime | None, Field(strict=False)], None),
}


@cache
def _model_of(cls: type) -> type[BaseModel]:
    """The strict model of a command's `data`, in the order of its fields."""
    context, _ = _commands()[cls.__name__]
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(cls).items():
        if name.endswith(_JSON):
            fields[_json_name(name)] = (Any, {})
        elif hint in _READ:
            fields[name] = _READ[hint]
        elif name == context.id_field:
            fields[name] = (str | None, None)
        else:
            fields[name] = (Int32 if hint is int else hint, _OPTIONAL.get(name, ...))
    return create_model(f"{cls.__name__}In", __base__=Strict, **fields)
