"""Blobs by content: the port that a folder and a dictionary implement.

`put(tenant, bytes) → sha256:<64 hex digits> → get(tenant, digest)`; a tenant reads only its own.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from domain.errors import Invalid, NotFound, Unreadable

REFERENCE_FIELD = "$blob"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Where a value too large for an event lies: its digest and its size in bytes."""

    digest: str
    bytes: int

    def to_json(self) -> dict[str, object]:
        """The form in which it stands in a step's output: `{"$blob": "sha256:…", "bytes": n}`."""
        return {REFERENCE_FIELD: self.digest, "bytes": self.bytes}

    @classmethod
    def from_json(cls, value: object) -> "BlobRef":
        """Read that form back; anything else raises `Invalid` (`blob.invalid_reference`)."""
        if isinstance(value, dict) and value.keys() == {REFERENCE_FIELD, "bytes"}:
            digest, size = value[REFERENCE_FIELD], value["bytes"]
            if isinstance(digest, str) and _DIGEST.fullmatch(digest) and type(size) is int:
                return cls(digest, size)
        raise Invalid(
            "blob.invalid_reference",
            f'{str(value)[:100]} is no blob reference; {{"$blob": "sha256:…", "bytes": n}} is',
        )


class BlobStore(Protocol):
    """Content-addressed, append-only storage, one space per tenant."""

    def put(self, tenant: str, data: bytes) -> BlobRef:
        """Store the bytes durably before returning; storing the same again changes nothing."""
        ...

    def get(self, tenant: str, digest: str) -> bytes:
        """The bytes of a digest; raises `NotFound` (`blob.not_found`) or `Unreadable`."""
        ...

    def size(self, tenant: str, digest: str) -> int:
        """Size in bytes without reading; raises `NotFound` (`blob.not_found`)."""
        ...


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hex_of(digest: str) -> str:
    """The 64 digits of a well-formed digest; anything else raises `Invalid`, before any path."""
    if not _DIGEST.fullmatch(digest):
        raise Invalid(
            "blob.invalid_reference", f"{digest[:100]!r} is not 'sha256:' and 64 hex digits"
        )
    return digest.removeprefix("sha256:")


def checked_tenant(tenant: str) -> str:
    """The tenant's name if it is one; it becomes a folder name, so nothing else may pass."""
    if not _TENANT.fullmatch(tenant):
        raise Invalid("blob.invalid_tenant", f"{tenant[:100]!r} is no tenant name")
    return tenant


def checked_content(data: bytes, digest: str) -> bytes:
    """The bytes if they have this digest; raises `Unreadable` (`blob.damaged`) otherwise."""
    found = digest_of(data)
    if found != digest:
        raise Unreadable(
            "blob.damaged", f"blob {digest} now reads as {found}; restore it or run its step again"
        )
    return data


def not_found(tenant: str, digest: str) -> NotFound:
    return NotFound("blob.not_found", f"tenant '{tenant}' has no blob {digest}")
