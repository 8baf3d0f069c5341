"""The blob store contract on each adapter, and what only a folder can get wrong."""

from pathlib import Path

import pytest

from domain.errors import Invalid, Unreadable
from plugins.blob_store import BlobRef, BlobStore
from plugins.folder_blob_store import FolderBlobStore
from plugins.memory_blob_store import MemoryBlobStore
from tests.plugins.blob_store_contract import BlobStoreContract


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()


class TestFolderBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FolderBlobStore(tmp_path)

    def test_a_damaged_file_is_noticed_and_healed_by_putting_again(self, tmp_path: Path) -> None:
        store = FolderBlobStore(tmp_path)
        ref = store.put("default", b"right")
        (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
        file.write_bytes(b"wrong")
        with pytest.raises(Unreadable, match=r"now reads as"):
            store.get("default", ref.digest)
        store.put("default", b"right")
        assert store.get("default", ref.digest) == b"right"

    def test_only_whole_blobs_lie_in_the_folder(self, tmp_path: Path) -> None:
        ref = FolderBlobStore(tmp_path).put("default", b"rows")
        digits = ref.digest.removeprefix("sha256:")
        files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        assert files == [Path("default") / digits[:2] / digits]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"$blob": "sha256:" + "0" * 64},
        {"$blob": "x", "bytes": 1},
        {"$blob": "sha256:" + "0" * 64, "bytes": True},
        {"$blob": "sha256:" + "0" * 64, "bytes": 1, "more": 1},
    ],
)
def test_what_only_looks_like_a_reference_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        BlobRef.from_json(value)
