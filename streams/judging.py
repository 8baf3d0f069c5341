"""One command judged, in the contract's order; what is read of the world comes in by `View`.

place → known id → age → authority → readable → expected version → decide → verdict
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.contexts import CONTEXTS, Context
from domain.decider import Facts, no_problems
from domain.definition import Definition, PinnedDefinition
from domain.errors import (
    Denied,
    FlexCoreError,
    Invalid,
    Refused,
    Unavailable,
    VersionConflict,
)
from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import Pipeline
from schemas import catalogue
from schemas.codec import Codec
from streams.answers import ACCEPTED, REFUSED, UNAVAILABLE, Answer
from streams.new_events import Home, Source, new_events
from streams.records import (
    ANONYMOUS,
    ANY,
    DEFAULT_TENANT,
    ExpectedVersion,
    Identity,
    command_hash,
    header_map,
    parse_expected_version,
    text,
)
from streams.stream_index import WINDOW_MS, Damaged
from streams.topics import MIB, partition_of
from streams.verdicts import (
    CommandRecord,
    Decided,
    InternalCommand,
    NeedsPipeline,
    Rejected,
    Repeated,
    Stray,
    Verdict,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_KEY_BYTES = 255
MAX_STRAY_BYTES = MIB - 4 * 1024
"""A forwarded command has one more header and must still fit into the commands topic."""
MAX_MESSAGE = 2_000
"""Characters; outcomes take 1 MiB, and one that does not fit would stop the partition."""


class View(Protocol):
    """What a turn knows: its own overlay over the committed state."""

    def answer(self, identity: Identity) -> Answer | None: ...

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        """(version, state) of an aggregate, including what this turn has decided."""
        ...

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        """A pipeline as far as this worker has read, whoever owns it."""
        ...


@dataclass(frozen=True, slots=True)
class Judge:
    """`expression_problems` checks a definition's expressions; `chance` is uniform in [0, 1)."""

    codec: Codec
    partitions: int
    chance: Callable[[], float]
    expression_problems: Callable[[Definition], Sequence[str]] = field(default=no_problems)

    def judge(self, record: CommandRecord, view: View, at: datetime, final: bool) -> Verdict:
        """What becomes of a record; `final` = do not ask to read on for a pipeline.

        Raises Damaged, for a command is not to blame for the index it was judged by; nothing else.
        """
        if record.unread:
            return Rejected(None, dead=f"command.unreadable: {record.unread}")
        try:
            aggregate_id = _aggregate_id(record)
        except ValueError as error:
            return Rejected(None, dead=f"command.unreadable: {error}")
        home = partition_of(aggregate_id, self.partitions)
        if home != record.partition:
            if _size(record) > MAX_STRAY_BYTES:
                return Rejected(None, dead="command.too_large: does not fit with one more header")
            return Stray(home)
        headers = header_map(record.headers)
        command_id = text(headers, "ce_id")
        if not command_id or len(command_id) > MAX_KEY_BYTES:
            return Rejected(
                None, dead="command.unreadable: the header ce_id is missing or too long"
            )
        identity = Identity(record.context, aggregate_id, command_id)
        content = self._hash(record, _expected(headers))
        known = view.answer(identity)
        if known is not None:
            return _known(known, content)
        try:
            return self._decide(record, identity, content, headers, view, at, final)
        except Unavailable as error:
            # Nothing was decided: the same id may be tried again.
            return Rejected(_unavailable(identity, content, error.code, error.message))
        except FlexCoreError as error:
            unreadable = error.code in ("command.unreadable", "command.unknown_type")
            dead = f"{error.code}: {error.message}" if unreadable else ""
            return Rejected(_refusal(identity, content, error.code, error.message), dead)
        except Damaged:
            raise
        except Exception as error:
            # Whatever a command does to decider or codec, the next one is judged.
            what = f"could not be decided: {error!r}"
            answer = _refusal(identity, content, "internal.undecidable", what)
            return Rejected(answer, dead=f"internal.undecidable: {error!r}")

    def give_up(self, record: CommandRecord, view: View, what: str) -> Verdict:
        """Keep a command that nobody survives judging, and refuse it where it says its identity.

        Its value is not looked at.
        """
        dead = f"internal.undecidable: {what}"
        headers = header_map(record.headers)
        command_id = text(headers, "ce_id")
        try:
            aggregate_id = _aggregate_id(record)
        except ValueError:
            return Rejected(None, dead)
        at_home = partition_of(aggregate_id, self.partitions) == record.partition
        if not (at_home and 0 < len(command_id) <= MAX_KEY_BYTES):
            return Rejected(None, dead)
        identity = Identity(record.context, aggregate_id, command_id)
        value = record.value or b""
        name = self.codec.known_name(value)
        content = command_hash(name, value, _lenient(_expected(headers)) if name else ANY)
        known = view.answer(identity)
        if known is not None:
            return _known(known, content)
        return Rejected(_refusal(identity, content, "internal.undecidable", what), dead)

    def judge_internal(self, command: InternalCommand, view: View, at: datetime) -> Verdict:
        """What becomes of a command of the engine. Raises where it cannot be decided."""
        context = CONTEXTS[command.context]
        identity = Identity(context.name, command.aggregate_id, str(command.command_id))
        known = view.answer(identity)
        if known is not None:
            return Repeated(known)
        version, state = view.state(context, command.aggregate_id)
        facts = Facts(at=at, actor="engine", chance=self.chance())
        events = context.decider.decide(command.command, state, facts)
        source = Source(
            command.command_id, "", b"flexcore/engine", command.correlation_id, command.causation_id
        )
        home = Home(context.name, command.aggregate_id, command.partition)
        new = new_events(home, version, events, source, at, self.codec)
        after = context.decider.fold(events, state)
        answer = Answer(identity, "", ACCEPTED, tuple(e.version for e in new))
        return Decided(answer, new, after, version + len(new), internal=True)

    def unavailable(self, record: CommandRecord, what: str) -> Answer:
        """The answer to a command that could not be judged now."""
        headers = header_map(record.headers)
        identity = Identity(record.context, _aggregate_id(record), text(headers, "ce_id"))
        content = self._hash(record, _expected(headers))
        return _unavailable(identity, content, "owner.unavailable", what)

    def _hash(self, record: CommandRecord, expected: str) -> str:
        value = record.value or b""
        try:
            name = self.codec.name_of(value)
        except Exception:
            # Whatever is wrong with the schema that the value names is said when it is decoded.
            name = ""
        return command_hash(name, value, _lenient(expected) if name else ANY)

    def _decide(
        self,
        record: CommandRecord,
        identity: Identity,
        content: str,
        headers: dict[str, bytes],
        view: View,
        at: datetime,
        final: bool,
    ) -> Verdict:
        context = CONTEXTS[record.context]
        _check_id(identity.command_id)
        if at.timestamp() * 1000 - record.timestamp_ms > WINDOW_MS:
            raise Refused("command.expired", "the command waited for over 7 days; send a new one")
        _authorize(identity.aggregate_id)
        command = self._read(record, context)
        body_id = getattr(command, context.id_field)
        if body_id != identity.aggregate_id:
            raise Invalid(
                "command.wrong_key",
                f"{context.id_field} is {body_id!r}, the record's key {identity.aggregate_id!r}; "
                "they must be equal",
            )
        version, state = view.state(context, identity.aggregate_id)
        expected = parse_expected_version(_expected(headers))
        if not expected.accepts(version):
            raise version_conflict(context, identity.aggregate_id, version, expected)
        pipeline = None
        if isinstance(command, ExecutePipeline):
            pipeline = _pinned(view, command.pipeline_id)
            if (pipeline is None or not pipeline.active) and not final:
                return NeedsPipeline(command.pipeline_id)
        facts = Facts(
            at=at,
            actor=ANONYMOUS,
            chance=self.chance(),
            pipeline=pipeline,
            expression_problems=self.expression_problems,
        )
        events = context.decider.decide(command, state, facts)
        source = Source(
            identity.command_id,
            content,
            b"flexcore/worker",
            _short(headers, "ce_correlationid") or identity.command_id,
            identity.command_id,
            _short(headers, "traceparent"),
        )
        home = Home(context.name, identity.aggregate_id, record.partition)
        new = new_events(home, version, events, source, at, self.codec)
        after = context.decider.fold(events, state)
        answer = Answer(identity, content, ACCEPTED, tuple([event.version for event in new]))
        return Decided(answer, new, after, version + len(new))

    def _read(self, record: CommandRecord, context: Context) -> Any:
        value = record.value or b""
        name = self.codec.name_of(value)
        if catalogue.records()[name].cls not in context.commands:
            raise Invalid(
                "command.unknown_type", f"{name} is no command of the context {context.name!r}"
            )
        return self.codec.decode(value)


def _size(record: CommandRecord) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _aggregate_id(record: CommandRecord) -> str:
    key = record.key
    if not key or len(key) > MAX_KEY_BYTES:
        raise ValueError(f"the key must be the aggregate id, 1 to {MAX_KEY_BYTES} bytes of UTF-8")
    return key.decode()


def _check_id(command_id: str) -> None:
    if not _UUID.fullmatch(command_id):
        raise Invalid(
            "command.invalid_id", f"ce_id {command_id[:60]!r}; it must be a UUID in small letters"
        )


def _authorize(aggregate_id: str) -> None:
    """Unsigned commands act as `anonymous` of tenant `default`, which is all there is to act as."""
    if "~" in aggregate_id:
        raise Denied(
            "command.denied",
            f"{aggregate_id!r} belongs to another tenant than {DEFAULT_TENANT!r}",
        )


def _expected(headers: dict[str, bytes]) -> str:
    """The header as text; bytes that are no UTF-8 must not pass for a header left out."""
    return headers.get("ce_expectedversion", b"").decode(errors="replace")


def _lenient(expected: str) -> ExpectedVersion:
    try:
        return parse_expected_version(expected)
    except Invalid:
        return ExpectedVersion(expected)


def _pinned(view: View, pipeline_id: str) -> PinnedDefinition | None:
    pipeline = view.pipeline(pipeline_id)
    return None if pipeline is None else pipeline.pinned()


def _known(known: Answer, content: str) -> Verdict:
    if known.hash == content:
        return Repeated(known)
    return Rejected(
        _refusal(
            known.identity,
            content,
            "command.id_reused",
            f"command id {known.identity.command_id!r} was used with other content; use a new id",
        )
    )


def _short(headers: dict[str, bytes], name: str) -> str:
    """A header that goes into each event of a command; an overlong one counts as absent."""
    return text(headers, name) if len(headers.get(name, b"")) <= MAX_KEY_BYTES else ""


def _refusal(identity: Identity, content: str, code: str, message: str) -> Answer:
    return Answer(identity, content, REFUSED, error_code=code, error_message=_fitting(message))


def _unavailable(identity: Identity, content: str, code: str, message: str) -> Answer:
    return Answer(identity, content, UNAVAILABLE, error_code=code, error_message=_fitting(message))


def _fitting(message: str) -> str:
    """What fits into an outcome: a message may quote a megabyte, or half a surrogate pair."""
    return message[:MAX_MESSAGE].encode(errors="replace").decode()


def version_conflict(
    context: Context, aggregate_id: str, version: int, expected: ExpectedVersion
) -> VersionConflict:
    """What is raised where an aggregate is not at the version that was expected."""
    return VersionConflict(
        "aggregate.version_conflict",
        f"{context.name} {aggregate_id!r} is at version {version}, expected {expected}; "
        "read it again and decide anew",
        version=version,
    )
