"""Sends commands: any by name, or those of the other services."""

from typing import Any

from gateway.json_shapes import command_class, command_from_json, refusal
from gateway.services.asked import Asked
from streams.answers import Answer
from streams.command_bus import CommandBus, CommandRequest


class CommandService:
    """`send` for typed commands, `send_json` for any command by its name."""

    def __init__(self, bus: CommandBus) -> None:
        self._bus = bus

    async def send(self, context: str, aggregate_id: str, command: object, asked: Asked) -> Answer:
        """The answer to an accepted command; a refused one raises what it was refused for.

        Nothing is awaited before the command is handed to the bus, so that calls keep their order.
        """
        answer = await self._bus.send(
            CommandRequest(
                context=context,
                aggregate_id=aggregate_id,
                command=command,
                command_id=asked.command_id,
                correlation_id=asked.command_id,
                expected=asked.expected,
                tenant=asked.caller.tenant,
                actor=asked.caller.actor,
                traceparent=asked.traceparent,
            ),
            asked.timeout_s,
        )
        if answer.error_code:
            raise refusal(answer)
        return answer

    async def send_json(
        self, type_name: str, local_id: str, data: dict[str, Any], asked: Asked
    ) -> Answer:
        """As `send`, for a command as JSON. Raises Invalid before anything is sent."""
        context, _ = command_class(type_name)
        aggregate_id = asked.caller.new_id(context.name, local_id)
        command = command_from_json(type_name, local_id, data, tenant_prefix=asked.caller.prefix)
        return await self.send(context.name, aggregate_id, command, asked)
