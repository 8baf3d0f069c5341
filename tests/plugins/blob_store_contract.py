"""What every blob store promises; one subclass per adapter runs it."""

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import Invalid, NotFound
from plugins.blob_store import BlobRef, BlobStore

# One store may serve all examples, and the contract is run by several classes: both are meant.
SHARED_STORE = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
ABSENT = "sha256:" + "0" * 64


class BlobStoreContract:
    """Subclasses provide the fixture `store`."""

    def test_what_was_put_is_read_back(self, store: BlobStore) -> None:
        ref = store.put("default", b"some rows")
        assert store.get("default", ref.digest) == b"some rows"
        assert store.size("default", ref.digest) == ref.bytes == 9

    def test_address_is_the_sha256_of_the_content(self, store: BlobStore) -> None:
        ref = store.put("default", b"some rows")
        assert ref.digest == "sha256:" + hashlib.sha256(b"some rows").hexdigest()

    def test_the_same_content_has_one_address(self, store: BlobStore) -> None:
        assert store.put("default", b"x") == store.put("default", b"x")

    def test_nothing_is_a_blob_too(self, store: BlobStore) -> None:
        assert store.get("default", store.put("default", b"").digest) == b""

    def test_a_tenant_does_not_see_anothers_blob(self, store: BlobStore) -> None:
        ref = store.put("first", b"secret")
        with pytest.raises(NotFound):
            store.get("second", ref.digest)
        with pytest.raises(NotFound):
            store.size("second", ref.digest)

    def test_an_unknown_digest_is_not_found(self, store: BlobStore) -> None:
        with pytest.raises(NotFound, match=ABSENT):
            store.get("default", ABSENT)

    @pytest.mark.parametrize(
        "digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, ABSENT + "\n"]
    )
    def test_what_is_no_digest_is_refused(self, store: BlobStore, digest: str) -> None:
        with pytest.raises(Invalid):
            store.get("default", digest)

    @pytest.mark.parametrize("tenant", ["", ".", "..", "a/b", "A", "a\n", "~x"])
    def test_what_is_no_tenant_is_refused(self, store: BlobStore, tenant: str) -> None:
        with pytest.raises(Invalid):
            store.put(tenant, b"x")

    @given(data=st.binary(max_size=2_000))
    @settings(max_examples=20, suppress_health_check=SHARED_STORE)
    def test_any_bytes_survive(self, store: BlobStore, data: bytes) -> None:
        ref = BlobRef.from_json(store.put("default", data).to_json())
        assert store.get("default", ref.digest) == data
