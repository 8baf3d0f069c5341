"""Blobs as files: `<root>/<tenant>/<first two hex digits>/<64 hex digits>`."""

from pathlib import Path

from plugins.atomic_file import write_atomically
from plugins.blob_store import (
    BlobRef,
    checked_content,
    checked_tenant,
    digest_of,
    hex_of,
    not_found,
)


class FolderBlobStore:
    """A blob is whole or absent: written aside, synced, then renamed into place."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, tenant: str, data: bytes) -> BlobRef:
        digest = digest_of(data)
        path = self._path(tenant, digest)
        if not self._is_whole(path, data):
            write_atomically(path, data)
        return BlobRef(digest, len(data))

    def get(self, tenant: str, digest: str) -> bytes:
        try:
            data = self._path(tenant, digest).read_bytes()
        except FileNotFoundError:
            raise not_found(tenant, digest) from None
        return checked_content(data, digest)

    def size(self, tenant: str, digest: str) -> int:
        try:
            return self._path(tenant, digest).stat().st_size
        except FileNotFoundError:
            raise not_found(tenant, digest) from None

    def _path(self, tenant: str, digest: str) -> Path:
        digits = hex_of(digest)
        return self._root / checked_tenant(tenant) / digits[:2] / digits

    @staticmethod
    def _is_whole(path: Path, data: bytes) -> bool:
        """Compared byte for byte: a damaged copy is healed by putting the blob again."""
        try:
            return path.stat().st_size == len(data) and path.read_bytes() == data
        except FileNotFoundError:
            return False
