"""The command bus (port): hand a command to whoever owns its aggregate, and get the answer.

send(CommandRequest) ──► owner judges ──► Answer (accepted │ refused)
                    └──► Unavailable │ Unknown │ TooLarge │ Limited      retry with the same id
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.errors import Invalid, TooLarge, Unknown
from schemas.catalogue import full_names
from schemas.codec import Codec
from streams.answers import Answer
from streams.records import (
    ANONYMOUS,
    ANY,
    DEFAULT_TENANT,
    ExpectedVersion,
    Identity,
    command_hash,
    time_text,
)
from streams.topics import MIB

MAX_COMMAND_BYTES = MIB - 4_096
"""Value and headers: what a command topic takes, less the key and the frame of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """A command on its way; `command` is a message of the context, its id equal `aggregate_id`.

    `command_id` is a UUID as text; `traceparent` is the W3C header where a trace is on.
    """

    context: str
    aggregate_id: str
    command: object
    command_id: str
    correlation_id: str
    expected: ExpectedVersion = ANY
    tenant: str = DEFAULT_TENANT
    actor: str = ANONYMOUS
    causation_id: str | None = None
    traceparent: str | None = None

    @property
    def identity(self) -> Identity:
        return Identity(self.context, self.aggregate_id, self.command_id)


class CommandBus(Protocol):
    """Commands of one sender for one aggregate are judged in the order of the calls to `send`."""

    async def send(self, request: CommandRequest, timeout_s: float) -> Answer:
        """The answer to `request`, within `timeout_s` seconds.

        Raises TooLarge, Limited where too many wait, Unavailable where broker or owner are away,
        and Unknown where no answer was seen in time: then, as after Unavailable, the same id
        with the same content finds out.
        """
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """What a command says: record name, wire bytes, and the sha256 that tells contents apart."""

    record_name: str
    value: bytes
    hash: str


def content_of(request: CommandRequest, codec: Codec) -> Content:
    """The content of a request. Raises Invalid for values that its record cannot hold."""
    name = full_names()[type(request.command)]
    try:
        value = codec.encode(request.command)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        # A text with half a surrogate pair, a number over 32 bits: fastavro names the field.
        raise Invalid("command.invalid", f"{name} cannot hold this: {error}") from error
    return Content(name, value, command_hash(name, value, request.expected))


def headers_of(request: CommandRequest, content: Content, at: datetime) -> list[tuple[str, bytes]]:
    """The CloudEvents headers of a command. Raises TooLarge where it would not fit its topic."""
    named: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": request.command_id,
        "ce_source": "flexcore/api",
        "ce_type": content.record_name,
        "ce_time": time_text(at),
        "ce_subject": request.aggregate_id,
        "content-type": "application/avro",
        "ce_tenantid": request.tenant,
        "ce_actorid": request.actor,
        "ce_correlationid": request.correlation_id,
        "ce_causationid": request.causation_id,
        "ce_expectedversion": str(request.expected),
        "traceparent": request.traceparent,
    }
    headers = [(name, value.encode()) for name, value in named.items() if value is not None]
    size = len(content.value) + sum(len(name) + len(value) for name, value in headers)
    if size > MAX_COMMAND_BYTES:
        raise too_large(size)
    return headers


def too_large(size: int) -> TooLarge:
    """What is said of a command that its topic would not take; it is never sent."""
    return TooLarge(
        "command.too_large",
        f"the command has {size} bytes; at most {MAX_COMMAND_BYTES} fit; "
        "put larger data into a file",
    )


def outcome_unknown(identity: Identity, timeout_s: float) -> Unknown:
    """What `send` raises where no answer was seen in time."""
    return Unknown(
        "outcome.unknown",
        f"no answer to command {identity.command_id} within {timeout_s:g} s; it may still take "
        "effect; send it again with the same id and content to learn its outcome",
        command_id=identity.command_id,
    )
