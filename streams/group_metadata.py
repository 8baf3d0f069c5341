"""A consumer group's metadata in librdkafka's own bytes, made from what Faust's consumer knows.

    "CGMDv2:" │ generation, int32 little endian │ group NUL │ member NUL │ 01, or 00 instance NUL

The form is private to librdkafka, so it is compared with a real one before anything rests on it.
"""

import struct

from confluent_kafka import Consumer

from domain.errors import Unavailable

_PREFIX = b"CGMDv2:"


def group_metadata(group: str, generation: int, member: str, instance: str | None) -> bytes:
    """Frozen metadata for `send_offsets_to_transaction`: it fences by generation and member.

    Generation -1 with no member fences nothing, so it is never made.
    """
    assert generation >= 0, generation
    assert member, "a member id is required"
    return _encode(group, generation, member, instance)


def _encode(group: str, generation: int, member: str, instance: str | None) -> bytes:
    tail = b"\x01" if instance is None else b"\x00" + instance.encode() + b"\0"
    head = _PREFIX + struct.pack("<i", generation)
    return head + group.encode() + b"\0" + member.encode() + b"\0" + tail


def check_form() -> None:
    """Compare our form with the library's. Raises Unavailable where it has changed."""
    # No broker is asked: the metadata of a consumer that has not joined is enough.
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "form", "log_level": 0})
    try:
        real = bytes(consumer.consumer_group_metadata())
    finally:
        consumer.close()
    if real != _encode("form", -1, "", None):
        raise Unavailable(
            "stack.failed",
            "librdkafka's group metadata has another form than this release knows; "
            "install the confluent-kafka that requirements.lock names",
        )
