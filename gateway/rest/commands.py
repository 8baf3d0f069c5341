"""POST /commands: any command by name, one or many."""

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from starlette.responses import Response

from domain.errors import FlexCoreError, Invalid
from gateway.json_shapes import failure_json, outcome_json
from gateway.rest import shapes
from gateway.rest.documented import WRITE
from gateway.rest.headers import asked
from gateway.rest.responses import json_response, written_response
from gateway.services.asked import Asked, command_id_of
from gateway.services.commands import CommandService
from gateway.services.read_models import Written
from gateway.strict import checked
from streams.answers import Answer
from streams.records import ANY, parse_expected_version

MAX_COMMANDS = 1_000
"""Of one request; they are all in flight at once."""

_ONE = shapes.CommandIn.model_json_schema()
_MANY = {"type": "array", "items": _ONE, "maxItems": MAX_COMMANDS}
_BODY = {"required": True, "content": {"application/json": {"schema": {"anyOf": [_ONE, _MANY]}}}}


def commands_router(service: CommandService) -> APIRouter:
    """The route over `service`."""
    router = APIRouter(prefix="/v1/commands", tags=["commands"])

    @router.post(
        "",
        response_model=shapes.Outcome | list[shapes.Outcome],
        openapi_extra={"requestBody": _BODY},
        responses=WRITE,
    )
    async def send(body: Annotated[Any, Body()], how: Annotated[Asked, Depends(asked)]) -> Response:
        """Send a command, or a list of which each is judged by itself and answered in its place."""
        if isinstance(body, list):
            return json_response(await _send_all(service, body, how))
        command = _command(body)
        answer = await _send(service, command, _asked(command, how))
        return written_response(Written(answer, None), 200)

    return router


async def _send_all(service: CommandService, bodies: list[Any], how: Asked) -> list[dict[str, Any]]:
    if len(bodies) > MAX_COMMANDS:
        raise Invalid("request.invalid", f"{len(bodies)} commands; at most {MAX_COMMANDS} at once")

    async def one(body: Any) -> dict[str, Any]:
        # A key and a version of the request would be one for all; each command has its own.
        mine = replace(how, command_id=command_id_of(None, how.caller), expected=ANY)
        aggregate_id = ""
        try:
            command = _command(body)
            aggregate_id = command.aggregate_id
            mine = _asked(command, mine)
            return outcome_json(await _send(service, command, mine))
        except FlexCoreError as error:
            return failure_json(error, mine.command_id, aggregate_id)

    return list(await asyncio.gather(*[one(body) for body in bodies]))


async def _send(service: CommandService, command: shapes.CommandIn, how: Asked) -> Answer:
    return await service.send_json(command.type, command.aggregate_id, command.data, how)


def _command(body: Any) -> shapes.CommandIn:
    return checked(shapes.CommandIn, body, code="command.invalid")


def _asked(command: shapes.CommandIn, how: Asked) -> Asked:
    """What the body says goes before what the headers say. Raises Invalid."""
    if command.command_id is not None:
        how = replace(how, command_id=command_id_of(command.command_id, how.caller))
    if command.expected_version is not None:
        how = replace(how, expected=parse_expected_version(str(command.expected_version)))
    return how
