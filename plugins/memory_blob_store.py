"""Blobs in a dictionary: for tests and short runs."""

from plugins.blob_store import (
    BlobRef,
    checked_content,
    checked_tenant,
    digest_of,
    hex_of,
    not_found,
)


class MemoryBlobStore:
    """Keeps what is put for as long as the process lives."""

    def __init__(self) -> None:
        self._blobs: dict[tuple[str, str], bytes] = {}

    def put(self, tenant: str, data: bytes) -> BlobRef:
        digest = digest_of(data)
        self._blobs[checked_tenant(tenant), hex_of(digest)] = bytes(data)
        return BlobRef(digest, len(data))

    def get(self, tenant: str, digest: str) -> bytes:
        return checked_content(self._find(tenant, digest), digest)

    def size(self, tenant: str, digest: str) -> int:
        return len(self._find(tenant, digest))

    def _find(self, tenant: str, digest: str) -> bytes:
        data = self._blobs.get((checked_tenant(tenant), hex_of(digest)))
        if data is None:
            raise not_found(tenant, digest)
        return data
