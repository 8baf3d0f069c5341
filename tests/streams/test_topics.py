"""The topics as rows, and where an aggregate's records stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contexts import CONTEXTS
from streams.topics import Topics, event_key, parse_event_key, partition_of

ROWS = {topic.name: topic for topic in Topics().table()}


def java_murmur2(data: bytes) -> int:
    """Kafka's Utils.murmur2, written out: what every Java producer computes."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@given(st.text(), st.integers(1, 1000))
def test_an_aggregate_stands_where_java_clients_put_it(aggregate_id: str, partitions: int) -> None:
    expected = (java_murmur2(aggregate_id.encode()) & 0x7FFFFFFF) % partitions
    assert partition_of(aggregate_id, partitions) == expected


@pytest.mark.parametrize(
    ("key", "hashed"),
    # From Kafka's own UtilsTest.testMurmur2.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_agrees_with_kafkas_own_examples(key: bytes, hashed: int) -> None:
    assert java_murmur2(key) == hashed & 0xFFFFFFFF


def test_every_context_has_commands_events_and_snapshots() -> None:
    for context in CONTEXTS:
        assert ROWS[f"flexcore.{context}.snapshots"].settings["cleanup.policy"] == "compact"
        assert f"flexcore.{context}.commands" in ROWS
        assert f"flexcore.{context}.events" in ROWS


def test_events_are_kept_for_ever_and_compacted_only_after_a_week() -> None:
    for context in CONTEXTS:
        settings = ROWS[f"flexcore.{context}.events"].settings
        assert settings["cleanup.policy"] == "compact"
        assert settings["min.compaction.lag.ms"] == str(7 * 24 * 3600 * 1000)
        assert "retention.ms" not in settings


def test_the_brokers_clock_stamps_commands_events_and_outcomes() -> None:
    for topic in ROWS.values():
        stamped = topic.name.endswith((".commands", ".events", ".outcomes"))
        assert (topic.settings.get("message.timestamp.type") == "LogAppendTime") == stamped


def test_only_the_schemas_topic_has_a_partition_count_of_its_own() -> None:
    assert {t.name: t.partitions for t in ROWS.values() if t.partitions} == {"flexcore.schemas": 1}


def test_a_prefix_is_in_every_name_so_that_two_installations_share_a_broker() -> None:
    mine = {topic.name for topic in Topics("mine").table()}
    yours = {topic.name for topic in Topics("yours").table()}
    assert not mine & yours
    assert all(name.startswith("mine") for name in mine)


@given(st.text(min_size=1), st.integers(1, 10**12 - 1))
def test_an_event_key_comes_back_whole(aggregate_id: str, version: int) -> None:
    assert parse_event_key(event_key(aggregate_id, version)) == (aggregate_id, version)


@pytest.mark.parametrize(
    "key", [b"", b"p1", b"p1#", b"p1#7", b"p1#00000000000x", b"\xff#000000000001"]
)
def test_a_foreign_key_is_a_value_error(key: bytes) -> None:
    with pytest.raises(ValueError):
        parse_event_key(key)


@pytest.mark.parametrize(
    "version", ["00000000_001", "+00000000001", "-00000000001", " 00000000001"]
)
def test_a_version_is_twelve_digits_and_nothing_else(version: str) -> None:
    with pytest.raises(ValueError):
        parse_event_key(f"p1#{version}".encode())


def test_keys_sort_as_versions_do() -> None:
    versions = [1, 2, 9, 10, 99, 100, 123456789012]
    assert sorted(versions, key=lambda v: event_key("p1", v)) == versions
