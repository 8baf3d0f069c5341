"""The answer to a command: what it was told, and how that stands on `flexcore.outcomes`.

accepted     its events are seen in the log (or it asked for what already is)
refused      decided, and remembered for the window of 7 days
unavailable  not decided; never remembered, so that the same id may be tried again
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.errors import Unreadable
from domain.quick_init import quick_init
from schemas.codec import Codec
from schemas.outcome import Outcome
from streams.records import EventRecord, Headers, Identity, text, time_text

WORKER = "flexcore/worker"
ACCEPTED, REFUSED, UNAVAILABLE = "accepted", "refused", "unavailable"

_SPEC_VERSION = ("ce_specversion", b"1.0")
_TYPE = ("ce_type", b"flexcore.outcome.Outcome")
_AVRO = ("content-type", b"application/avro")

NOT_REMEMBERED = frozenset({"command.id_reused"})
"""Refusals that depend on what the id stood for before; remembering one would overwrite that."""


@quick_init
@dataclass(frozen=True, slots=True)
class Answer:
    """`hash` is the content's (see `command_hash`); `position` is empty where no event was made."""

    identity: Identity
    hash: str
    status: str
    versions: tuple[int, ...] = ()
    position: str = ""
    error_code: str = ""
    error_message: str = ""

    @property
    def remembered(self) -> bool:
        """Whether the same command gets this answer again within the window."""
        return self.status != UNAVAILABLE and self.error_code not in NOT_REMEMBERED


def answer_of(last: EventRecord) -> Answer | None:
    """The answer that a command's last event stands for; `None` for one that is not its last."""
    index, count = last.headers.get("ce_txnindex", b""), last.headers.get("ce_txncount", b"")
    # Whatever a foreign writer put there: 12 digits are what a version has.
    if not (index.isdigit() and count.isdigit()) or max(len(index), len(count)) > 12:
        return None
    before = int(index)
    if before + 1 != int(count) or before >= last.version:
        return None
    return Answer(
        identity=last.identity,
        hash=text(last.headers, "ce_commandhash"),
        status=ACCEPTED,
        versions=tuple(range(last.version - before, last.version + 1)),
        position=f"{last.context}/{last.partition}@{last.offset}",
    )


def outcome_headers(answer: Answer, at: datetime, source: str = WORKER) -> Headers:
    """`source` tells which process gave the answer."""
    identity = answer.identity
    return [
        _SPEC_VERSION,
        ("ce_id", f"{identity.command_id}:{answer.hash[:16]}".encode()),
        ("ce_source", source.encode()),
        _TYPE,
        ("ce_time", time_text(at).encode()),
        ("ce_subject", identity.aggregate_id.encode()),
        _AVRO,
        ("ce_context", identity.context.encode()),
        ("ce_commandid", identity.command_id.encode()),
        ("ce_commandhash", answer.hash.encode()),
        ("ce_status", answer.status.encode()),
        ("ce_errorcode", answer.error_code.encode()),
    ]


def outcome_value(answer: Answer, codec: Codec) -> bytes:
    return codec.encode(
        Outcome(
            aggregate_id=answer.identity.aggregate_id,
            versions=answer.versions,
            position=answer.position,
            error_code=answer.error_code,
            error_message=answer.error_message,
        )
    )


def read_outcome(headers: Mapping[str, bytes], value: bytes, codec: Codec) -> Answer:
    """The answer in a record of the outcomes topic. Raises Unreadable."""
    outcome = codec.decode(value)
    if not isinstance(outcome, Outcome):
        raise Unreadable("command.unreadable", f"a {type(outcome).__name__} is no outcome")
    return Answer(
        identity=Identity(
            text(headers, "ce_context"), outcome.aggregate_id, text(headers, "ce_commandid")
        ),
        hash=text(headers, "ce_commandhash"),
        status=text(headers, "ce_status"),
        versions=outcome.versions,
        position=outcome.position,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
    )
