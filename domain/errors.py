"""Every way a request can end badly, by who must act; doors map the family and nothing else.

FlexCoreError
├── Refused           the caller: the state does not allow it
├── Invalid           the caller: the request itself is wrong
├── NotFound          the caller: no such thing
├── Denied            the caller: not allowed
├── TooLarge          the caller: over a limit
├── TooSlow           the caller: the request did not come in time
├── VersionConflict   the caller, with news: somebody was faster
├── Limited           retry later: too many requests
├── Unavailable       retry: a part is away
├── Unknown           retry with the same command id: the outcome was not seen
└── Unreadable        the operator: bytes that no schema explains
"""

from typing import ClassVar


class FlexCoreError(Exception):
    """What was, what is required, what to do; `code` is stable, `fields` are its parts."""

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str, **fields: object) -> None:
        assert CODES.get(code, type(self)) is type(self), f"{code} is of another family"
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


class Refused(FlexCoreError):
    http_status, grpc_code, exit_code = 409, "FAILED_PRECONDITION", 7


class Invalid(FlexCoreError):
    http_status, grpc_code, exit_code = 422, "INVALID_ARGUMENT", 7


class NotFound(FlexCoreError):
    http_status, grpc_code, exit_code = 404, "NOT_FOUND", 3


class Denied(FlexCoreError):
    http_status, grpc_code, exit_code = 403, "PERMISSION_DENIED", 5


class TooLarge(FlexCoreError):
    http_status, grpc_code, exit_code = 413, "RESOURCE_EXHAUSTED", 7


class TooSlow(FlexCoreError):
    http_status, grpc_code, exit_code = 408, "DEADLINE_EXCEEDED", 6


class VersionConflict(FlexCoreError):
    http_status, grpc_code, exit_code = 412, "ABORTED", 4


class Limited(FlexCoreError):
    http_status, grpc_code, exit_code = 429, "RESOURCE_EXHAUSTED", 6


class Unavailable(FlexCoreError):
    http_status, grpc_code, exit_code = 503, "UNAVAILABLE", 6


class Unknown(FlexCoreError):
    http_status, grpc_code, exit_code = 504, "DEADLINE_EXCEEDED", 6


class Unreadable(FlexCoreError):
    http_status, grpc_code, exit_code = 422, "DATA_LOSS", 7


CODES: dict[str, type[FlexCoreError]] = {
    "pipeline.already_exists": Refused,
    "pipeline.not_found": NotFound,
    "pipeline.not_active": Refused,
    "pipeline.archived": Refused,
    "pipeline.invalid_id": Invalid,
    "pipeline.invalid_name": Invalid,
    "pipeline.invalid_definition": Invalid,
    "execution.already_exists": Refused,
    "execution.not_found": NotFound,
    "execution.invalid_id": Invalid,
    "execution.invalid_input": Invalid,
    "execution.invalid_deadline": Invalid,
    "execution.unsupported": Invalid,
    "execution.ended": Refused,
    "command.invalid": Invalid,
    "command.unknown_type": Invalid,
    "command.unreadable": Unreadable,
    "command.id_reused": Invalid,
    "command.invalid_id": Invalid,
    "command.expired": Refused,
    "command.denied": Denied,
    "command.wrong_key": Invalid,
    "command.invalid_expected_version": Invalid,
    "command.too_large": TooLarge,
    "append.invalid": Invalid,
    "aggregate.version_conflict": VersionConflict,
    "aggregate.not_found": NotFound,
    "internal.undecidable": Unreadable,
    "outcome.unknown": Unknown,
    "owner.unavailable": Unavailable,
    "broker.unavailable": Unavailable,
    "database.unavailable": Unavailable,
    "database.not_migrated": Unavailable,
    "read_model.behind": Unknown,
    "query.invalid": Invalid,
    "request.invalid": Invalid,
    "request.too_large": TooLarge,
    "request.too_slow": TooSlow,
    "request.too_many": Limited,
    "api.busy": Unavailable,
    "table.not_found": NotFound,
    "schema.not_found": NotFound,
    "schema.incompatible": Invalid,
    "file.not_found": NotFound,
    "file.invalid": Invalid,
    "file.unavailable": Unavailable,
    "blob.not_found": NotFound,
    "blob.invalid_reference": Invalid,
    "blob.invalid_tenant": Invalid,
    "blob.damaged": Unreadable,
    "handler.invalid": Invalid,
    "plugin.no_database": Invalid,
    "plugin.no_kafka": Invalid,
    "topics.wrong": Unavailable,
    "stack.not_running": Unavailable,
    "stack.failed": Unavailable,
    "settings.invalid": Invalid,
    "settings.unknown": NotFound,
    "faults.not_here": Invalid,
}
"""Every error code and its family. A code is never renamed, only added."""


def error_of(code: str, message: str, **fields: object) -> FlexCoreError:
    """The error for a code read from an outcome; a code of a newer release counts as refused."""
    return CODES.get(code, Refused)(code, message, **fields)
