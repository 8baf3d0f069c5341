"""The reader rule, event by event."""

from collections.abc import Sequence

from streams.order import Arrived, Order


def event(version: int, aggregate_id: str = "a") -> Arrived:
    return Arrived(aggregate_id, version, offset=version * 10, event=f"v{version}")


def versions(taken: Sequence[Arrived]) -> list[int]:
    return [one.version for one in taken]


def test_the_next_version_is_taken() -> None:
    assert versions(Order().take(event(3), last=2, end=100)) == [3]


def test_a_version_that_was_seen_is_dropped() -> None:
    assert versions(Order().take(event(2), last=2, end=100)) == []


def test_an_event_that_moved_behind_its_successors_is_waited_for() -> None:
    order = Order()
    assert versions(order.take(event(3), last=1, end=100)) == []
    assert versions(order.take(event(4), last=1, end=100)) == []
    assert versions(order.take(event(2), last=1, end=100)) == [2, 3, 4]


def test_the_reading_position_stays_before_an_open_gap() -> None:
    order = Order()
    order.take(event(3), last=1, end=100)
    assert order.safe_before(50) == 30
    order.take(event(2), last=1, end=100)
    assert order.safe_before(50) == 50


def test_a_gap_is_confirmed_by_position_and_parks_only_its_aggregate() -> None:
    order = Order()
    order.take(event(3), last=1, end=100)
    assert order.reached(99) == []
    assert order.reached(100) == ["a"]
    assert order.parked == 1
    assert order.safe_before(120) == 120
    assert versions(order.take(event(2, "b"), last=1, end=100)) == [2]


def test_an_aggregate_is_reported_as_parked_once() -> None:
    order = Order()
    order.take(event(3), last=1, end=100)
    assert order.reached(100) == ["a"]
    assert order.reached(200) == []


def test_a_missing_event_that_comes_late_mends_a_parked_aggregate() -> None:
    order = Order()
    order.take(event(3), last=1, end=100)
    order.reached(100)
    assert versions(order.take(event(2), last=1, end=200)) == [2, 3]
    assert order.parked == 0


def test_a_second_gap_behind_the_first_keeps_waiting() -> None:
    order = Order()
    order.take(event(3), last=1, end=100)
    order.take(event(5), last=1, end=100)
    assert versions(order.take(event(2), last=1, end=100)) == [2, 3]
    assert versions(order.take(event(4), last=3, end=100)) == [4, 5]
