"""A command that lacks its pipeline waits until the pipelines are read; its partition waits with it."""

from streams.error_table import Action
from tests.streams.driven_worker import Worker, given_answers, running
from tests.streams.kafka_model import Kafka
from tests.streams.scripts import activate, command_id, create, execute, execution_at, pipeline_at

PIPELINE = pipeline_at(0)
OTHER = pipeline_at(1)
HERE = [execution_at(0, number) for number in range(4)]
THERE = execution_at(1)


def answered(worker: Worker) -> list[tuple[str, str]]:
    """(number of the command, what was said), in the order of the answers, without the set-up."""
    numbers = {command_id(number): str(number) for number in range(100)}
    return [
        (numbers[a.identity[2]], a.said[1] or a.said[0])
        for a in given_answers(worker.kafka)
        if int(numbers[a.identity[2]]) < 90
    ]


def test_waits_until_the_end_that_was_looked_up_is_read() -> None:
    worker = running(active=True)
    worker.send(execute(HERE[0], "nowhere"), 3)
    assert worker.turn() is None
    (place,) = worker.lane.wanted_ends()
    worker.lane.on_end(place, worker.index.position(*place) + 1)
    assert worker.step() is None
    worker.index.advance(*place, worker.index.position(*place) + 1)
    assert worker.turn() is not None
    assert answered(worker) == [("3", "pipeline.not_found")]


def test_create_then_execute_just_works_though_another_worker_owns_the_pipeline() -> None:
    kafka = Kafka()
    owner, other = Worker(kafka, 0), Worker(kafka, 1)
    generation = kafka.rebalance({owner.id, other.id})
    for worker, context in ((owner, "pipeline"), (other, "execution")):
        worker.start_fence(generation, [(context, 0), (context, 1)])
        while worker.fencing is not None:
            worker.read()
            worker.step_fence()
        worker.turn()
    owner.send(create(PIPELINE), 90)
    owner.send(activate(PIPELINE), 91)
    other.send(execute(HERE[0], PIPELINE), 3)
    owner.turn()
    other.turn()
    assert answered(other) == [], "what the owner wrote is not read yet"
    other.read()
    assert other.turn() is not None
    other.read()
    assert answered(other) == [("3", "accepted")]


def test_what_came_later_on_the_partition_keeps_its_order_and_other_partitions_go_on() -> None:
    worker = running(active=True)
    worker.send(execute(HERE[0], "nowhere"), 3)
    worker.send(execute(HERE[1], PIPELINE), 4)
    worker.send(execute(HERE[1], PIPELINE), 5)
    worker.send(execute(THERE, PIPELINE), 6)
    first = worker.turn()
    assert first is not None
    assert [event.aggregate_id for event in first.events if event.version == 1] == [THERE]
    assert worker.lane.queued == 3
    worker.work()
    assert sorted(answered(worker)) == [
        ("3", "pipeline.not_found"),
        ("4", "accepted"),
        ("5", "execution.already_exists"),
        ("6", "accepted"),
    ]


def test_after_two_seconds_the_answer_is_unavailable_and_not_remembered() -> None:
    worker = running(active=True)
    sent = worker.send(execute(HERE[0], OTHER), 3)
    assert worker.turn() is None
    worker.kafka.wait(1.9)
    assert worker.turn() is None
    worker.kafka.wait(0.1)
    assert worker.turn() is not None
    worker.read()
    assert answered(worker) == [("3", "owner.unavailable")]
    # when the pipeline is there and the same command comes again
    worker.send(create(OTHER), 92)
    worker.send(activate(OTHER), 93)
    worker.work()
    worker.send(execute(HERE[0], OTHER), 3)
    worker.work()
    assert answered(worker)[-1] == ("3", "accepted")
    assert sent.value is not None


def test_a_failed_turn_stands_before_what_was_parked_in_it() -> None:
    worker = running(active=True)
    worker.send(execute(HERE[0], PIPELINE), 3)
    worker.send(execute(HERE[1], PIPELINE), 4)
    worker.send(execute(HERE[2], "nowhere"), 5)
    worker.send(execute(HERE[3], PIPELINE), 6)
    worker.fetch()
    assert worker.step() is not None
    assert worker.fail("_TIMED_OUT") is Action.REOPEN
    worker.reopen()
    worker.work()
    assert sorted(answered(worker)) == [
        ("3", "accepted"),
        ("4", "accepted"),
        ("5", "pipeline.not_found"),
        ("6", "accepted"),
    ]


def test_reopening_in_the_same_generation_keeps_what_was_parked() -> None:
    worker = running(active=True)
    worker.send(execute(HERE[0], "nowhere"), 3)
    worker.send(execute(HERE[1], PIPELINE), 4)
    assert worker.turn() is None
    worker.reopen()
    worker.work()
    assert sorted(answered(worker)) == [("3", "pipeline.not_found"), ("4", "accepted")]


def test_a_new_generation_fetches_what_was_parked_again() -> None:
    worker = running(active=True)
    worker.send(execute(HERE[0], "nowhere"), 3)
    assert worker.turn() is None
    worker.own()
    assert worker.lane.queued == 0
    worker.work()
    assert answered(worker) == [("3", "pipeline.not_found")]
