"""Handlers on a real Kafka: at least once, in order, and one that fails stops nobody else."""

import json
import threading
import time
from dataclasses import replace

import pytest

from agents import handler_host
from agents.handlers import Event, HandlerFailed
from agents.webhooks import Webhook
from domain.pipeline.pipeline import PipelineActivated, PipelineCreated, PipelineRevised
from streams.topics import event_key, partition_of
from tests.agents.events import endless, handler
from tests.agents.handling import Kept, Log, until
from tests.agents.receiver import receiving
from tests.projections.history import pipeline

pytestmark = pytest.mark.kafka
ALL = frozenset({PipelineCreated, PipelineActivated, PipelineRevised})


@pytest.fixture
def log(kafka: str, kafka_prefix: str) -> Log:
    return Log.make(kafka, kafka_prefix)


def test_each_event_comes_once_and_in_order(log: Log) -> None:
    kept = Kept()
    with log.handled(handler(kept, types=ALL)):
        for number in range(20):
            log.append(f"p{number}", pipeline(f"p{number}"))
        kept.wait(60)
    assert all(kept.of(f"p{number}") == [1, 2, 3] for number in range(20))
    assert len(kept.calls) == 60
    found = kept.events[0]
    assert (found.context, found.type, found.tenant_id) == (
        "pipeline",
        "PipelineCreated",
        "default",
    )
    assert found.correlation_id == "correlated"
    assert isinstance(found.body, PipelineCreated)
    assert found.data["name"] == "Weather"
    assert found.position.startswith("pipeline/")


def test_only_what_is_asked_for_comes(log: Log) -> None:
    kept = Kept()
    with log.handled(handler(kept, types=frozenset({PipelineActivated}))):
        log.append("a", pipeline("a"))
        log.append("b", pipeline("b"))
        kept.wait(2)
    assert {(one.type, one.version) for one in kept.events} == {("PipelineActivated", 2)}


def test_the_first_time_it_starts_at_the_end_or_at_the_start_if_told(log: Log) -> None:
    log.append("old", pipeline("old"))
    new, everything = Kept(), Kept()
    with log.handled(
        handler(new, name="new", types=ALL),
        handler(everything, name="everything", types=ALL, from_start=True),
    ):
        log.append("young", pipeline("young"))
        new.wait(3)
        everything.wait(6)
    assert {one.aggregate_id for one in new.events} == {"young"}
    assert everything.of("old") == [1, 2, 3]


def test_it_goes_on_where_it_was_although_it_was_called_for_nothing(log: Log) -> None:
    """The end at which it began counts, not the one that it finds at its next start."""
    kept = Kept()
    with log.handled(handler(kept, types=ALL)):
        pass
    log.append("between", pipeline("between"))
    with log.handled(handler(kept, types=ALL)):
        kept.wait(3)
    log.append("after", pipeline("after"))
    with log.handled(handler(kept, types=ALL)):
        kept.wait(6)
    assert (kept.of("between"), kept.of("after")) == ([1, 2, 3], [1, 2, 3])
    assert len(kept.calls) == 6


def test_a_call_that_fails_twice_is_made_three_times_and_the_next_waits_for_it(log: Log) -> None:
    def fail(event: Event, number: int) -> None:
        if event.version == 2 and number < 3:
            raise OSError("away")

    kept = Kept(fail)
    with log.handled(handler(kept, types=ALL)):
        log.append("a", pipeline("a"))
        kept.wait(3)
    assert kept.calls == [("a", 1), ("a", 2), ("a", 2), ("a", 2), ("a", 3)]


def test_what_fails_for_good_becomes_a_dead_letter_and_the_next_is_handled(log: Log) -> None:
    def fail(event: Event, _: int) -> None:
        if event.version == 2:
            raise HandlerFailed("nobody there", retryable=False)

    kept = Kept(fail)
    with log.handled(handler(kept, types=ALL)):
        log.append("a", pipeline("a"))
        kept.wait(2)
        (letter,) = log.dead(1)
    assert kept.of("a") == [1, 3]
    assert letter.key() == event_key("a", 2)
    assert letter.value() == log.written.codec.encode(pipeline("a")[1])
    headers = dict(letter.headers())
    group = log.written.topics.handler_group("tell")
    assert headers["ce_correlationid"] == b"correlated"
    assert headers["dead_topic"].decode() == log.written.topics.events("pipeline")
    assert headers["dead_reason"] == b"nobody there"
    assert (headers["dead_handler"], headers["dead_by"]) == (b"tell", group.encode())
    assert headers["dead_offset"] == b"1"


def test_one_that_never_ends_is_cut_and_other_partitions_go_on_meanwhile(log: Log) -> None:
    stuck, free = log.ids(0, 1)[0], log.ids(1, 1)[0]
    release = threading.Event()

    async def call(event: Event) -> None:
        if event.aggregate_id == stuck and event.version == 1 and not release.is_set():
            await endless(event)
        await kept(event)

    kept = Kept()
    with log.handled(handler(call, types=ALL, timeout_s=1.0, attempts=50)):
        log.append(stuck, pipeline(stuck))
        log.append(free, pipeline(free))
        kept.wait(3)
        assert (kept.of(free), kept.of(stuck)) == ([1, 2, 3], [])
        release.set()
        kept.wait(6)
    assert kept.of(stuck) == [1, 2, 3]


def test_one_handler_that_blocks_its_loop_does_not_hold_up_another(log: Log) -> None:
    async def blocks(_: Event) -> None:
        time.sleep(2.0)  # noqa: ASYNC251  (that is what it must not do)

    kept = Kept()
    slow = handler(blocks, name="slow", types=ALL)
    with log.handled(slow, handler(kept, name="quick", types=ALL)):
        log.append("a", pipeline("a"))
        before = time.monotonic()
        kept.wait(3)
        assert time.monotonic() - before < 2.0


def test_repeated_and_forked_events_are_dropped(log: Log) -> None:
    kept = Kept()
    created, activated, revised = pipeline("a")
    with log.handled(handler(kept, types=ALL)):
        log.append("a", [created, activated])
        log.append("a", [activated], first=2)
        log.append("a", [revised], first=2)
        log.append("a", [revised], first=3)
        kept.wait(3)
    assert [(one.version, one.type) for one in kept.events] == [
        (1, "PipelineCreated"),
        (2, "PipelineActivated"),
        (3, "PipelineRevised"),
    ]


def test_a_fork_that_comes_while_nobody_is_there_is_dropped(log: Log) -> None:
    kept = Kept()
    created, activated, revised = pipeline("a")
    with log.handled(handler(kept, types=ALL)):
        log.append("a", [created, activated])
        kept.wait(2)
    log.append("a", [revised], first=2)
    log.append("a", [created], first=1)
    with log.handled(handler(kept, types=ALL)):
        log.append("a", [revised], first=3)
        kept.wait(3)
    assert kept.of("a") == [1, 2, 3]


def test_what_was_held_is_held_again_after_a_restart(log: Log) -> None:
    kept = Kept()
    created, activated, revised = pipeline("a")
    other = next(one for one in log.ids(partition_of("a", 4), 3) if one != "a")
    with log.handled(handler(kept, types=ALL)):
        log.append("a", [created])
        log.append("a", [revised], first=3)
        log.append(other, [created])
        kept.wait(2)
    with log.handled(handler(kept, types=ALL)):
        log.append("a", [activated], first=2)
        until(lambda: kept.of("a") == [1, 2, 3], "mended")
    assert kept.of(other) in ([1], [1, 1]), "it stands behind what was held"


def test_one_bad_record_stops_nothing(log: Log) -> None:
    kept = Kept()
    (one, other) = log.ids(2, 2)
    with log.handled(handler(kept, types=ALL)):
        log.written.append_bytes("pipeline", 2, b"no event key", b"\x00\xffgarbage")
        log.written.append_bytes("pipeline", 2, event_key(one, 1), b"garbage")
        whole = log.written.codec.encode(pipeline(one)[1])
        log.written.append_bytes("pipeline", 2, event_key(one, 2), whole[:-2])
        log.append(other, pipeline(other))
        kept.wait(3)
        (letter,) = log.dead(1)
    assert letter.value() == whole[:-2], "it was asked for and cannot be read"


def test_more_than_fits_waits_in_kafka_and_comes_in_order(log: Log) -> None:
    kept = Kept()
    created, activated, revised = pipeline("a")
    history = [created, activated, *[revised] * 2_000]
    with log.handled(handler(kept, types=ALL)):
        log.append("a", history)
        kept.wait(len(history))
    assert kept.of("a") == list(range(1, len(history) + 1))


def test_what_is_handled_is_committed_and_what_is_not_is_not(log: Log) -> None:
    def fail(event: Event, _: int) -> None:
        if event.version == 2:
            raise OSError("away")

    kept = Kept(fail)
    (one,) = log.ids(0, 1)
    with log.handled(handler(kept, types=ALL, attempts=100, first_wait_s=0.5, max_wait_s=0.5)):
        log.append(one, pipeline(one))
        until(lambda: kept.calls.count((one, 2)) >= 2, "tried again")
        until(lambda: log.committed("tell")[0] == 1, "committed")
    assert log.committed("tell")[0] == 1
    kept.fail = lambda _event, _number: None
    with log.handled(handler(kept, types=ALL)):
        kept.wait(3)
        # The transaction's marker is an offset too: nothing is left to read.
        until(lambda: log.committed("tell")[0] == 4, "committed to the end")
    assert kept.of(one) == [1, 2, 3]


def test_a_call_under_way_is_finished_before_the_worker_leaves(log: Log) -> None:
    kept = Kept(slow_s=1.0)
    (one,) = log.ids(0, 1)
    with log.handled(handler(kept, types=ALL)):
        log.append(one, pipeline(one))
        kept.begun.wait(30)
    assert kept.of(one) == [1]
    assert log.committed("tell")[0] == 1


def test_a_call_that_takes_too_long_to_leave_is_cut_and_comes_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_host, "LEAVE_S", 0.2)
    kept = Kept(slow_s=60.0)
    (one,) = log.ids(0, 1)
    with log.handled(handler(kept, types=ALL, timeout_s=100.0)):
        log.append(one, pipeline(one))
        kept.begun.wait(30)
    assert (kept.of(one), log.committed("tell")[0]) == ([], 0)
    kept.slow_s = 0.0
    with log.handled(handler(kept, types=ALL)):
        kept.wait(3)
    assert kept.of(one) == [1, 2, 3]


def test_two_workers_share_the_partitions_and_none_is_lost(log: Log) -> None:
    first, second = Kept(), Kept()
    with log.handled(handler(first, types=ALL)) as one:
        for number in range(10):
            log.append(f"a{number}", pipeline(f"a{number}"))
        with log.handled(handler(second, types=ALL)) as other:
            until(lambda: [h.state["tell"]["partitions"] for h in (one, other)] == [2, 2], "shared")
            for number in range(10):
                log.append(f"b{number}", pipeline(f"b{number}"))
            until(lambda: len(first.events) + len(second.events) >= 60, "handled")
        for number in range(10):
            log.append(f"c{number}", pipeline(f"c{number}"))
        until(lambda: len(first.events) + len(second.events) >= 90, "handled")
    handled = [(e.aggregate_id, e.version) for e in (*first.events, *second.events)]
    assert set(handled) == {(f"{a}{n}", v) for a in "abc" for n in range(10) for v in (1, 2, 3)}
    assert len(handled) == 90, "a worker that comes or leaves in order repeats nothing"
    assert second.events


def test_a_webhook_is_a_handler_like_any_other(log: Log) -> None:
    """500 is tried again; 302 is given up and leaves a dead letter; the next event is posted."""
    with receiving() as receiver:
        receiver.answers = [(500, {}), (204, {}), (302, {"Location": "/elsewhere"})]
        ops = Webhook(
            name="ops", url=receiver.url, types=ALL, keys=(b"k" * 24,), hosts=(receiver.place,)
        )
        with log.handled(replace(ops.handler(), first_wait_s=0.01)):
            log.append("a", pipeline("a"))
            (letter,) = log.dead(1)
            until(lambda: len(receiver.got) >= 4, "posted")
    bodies = [json.loads(posted.body) for posted in receiver.got]
    assert [body["version"] for body in bodies] == [1, 1, 2, 3]
    assert len({posted.headers["webhook-id"] for posted in receiver.got}) == 3
    assert bodies[0]["data"]["name"] == "Weather"
    assert bodies[0]["context"] == "pipeline"
    headers = dict(letter.headers())
    assert letter.key() == event_key("a", 2)
    assert headers["dead_handler"] == b"ops"
    assert b"302" in headers["dead_reason"]
