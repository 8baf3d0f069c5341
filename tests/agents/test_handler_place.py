"""One partition of a handler: what is dropped, held and passed over, and what may be committed."""

from agents import handler_place
from agents.handler_place import Place, Waiting
from streams.records import EventRecord


def waiting(aggregate_id: str, version: int, offset: int, size: int = 3) -> Waiting:
    record = EventRecord("pipeline", aggregate_id, version, 0, offset, 0, b"x" * size, {})
    return Waiting(record, None)


def take(place: Place, version: int, offset: int, aggregate_id: str = "a", size: int = 3) -> int:
    return place.take(aggregate_id, version, offset, waiting(aggregate_id, version, offset, size))


def called(place: Place) -> list[int]:
    """The versions that are called for, in their order."""
    found = []
    while (one := place.next) is not None:
        found.append(one.record.version)
        place.done()
    return found


def test_the_first_event_that_is_seen_is_the_base() -> None:
    place = Place(10)
    take(place, 7, 10)
    take(place, 8, 11)
    assert called(place) == [7, 8]


def test_what_stands_before_the_start_is_known_and_not_called_for() -> None:
    place = Place(10)
    take(place, 2, 8)
    take(place, 1, 9)
    assert (place.next, place.done_to) == (None, 10)
    take(place, 2, 10)
    take(place, 4, 11)
    take(place, 3, 12)
    assert called(place) == [3, 4], "2 is known, and 4 waits for 3"


def test_a_version_that_was_seen_is_dropped_whatever_it_holds() -> None:
    place = Place(0)
    for offset, version in enumerate((1, 2, 2, 1, 3)):
        take(place, version, offset)
    assert called(place) == [1, 2, 3]


def test_an_event_behind_its_successors_is_waited_for() -> None:
    place = Place(0)
    assert [take(place, version, offset) for offset, version in enumerate((1, 3, 4))] == [0, 1, 2]
    assert called(place) == [1]
    assert place.done_to == 1, "what is held was not handled"
    take(place, 2, 3)
    assert called(place) == [2, 3, 4]
    assert place.done_to == 4


def test_others_go_on_while_one_waits() -> None:
    place = Place(0)
    take(place, 1, 0)
    take(place, 3, 1)
    take(place, 1, 2, "b")
    assert called(place) == [1, 1]


def test_what_is_not_asked_for_has_its_version() -> None:
    place = Place(0)
    take(place, 1, 0)
    place.take("a", 2, 1, None)
    take(place, 3, 2)
    assert called(place) == [1, 3]
    assert place.done_to == 3


def test_nothing_is_committed_past_what_waits() -> None:
    place = Place(0)
    take(place, 1, 0)
    place.take("b", 1, 1, None)
    take(place, 2, 2)
    assert place.done_to == 0
    place.done()
    assert place.done_to == 2
    place.done()
    assert place.done_to == 3


def test_after_the_mending_the_earliest_that_waits_counts() -> None:
    place = Place(0)
    for offset, version in enumerate((1, 3, 2)):
        take(place, version, offset)
    place.done()
    assert place.done_to == 1, "version 3 stands at offset 1"
    place.done()
    assert place.done_to == 1
    place.done()
    assert place.done_to == 3


def test_a_place_that_ends_calls_for_nothing_more() -> None:
    place = Place(0)
    take(place, 1, 0)
    place.ending = True
    assert place.next is None
    assert place.done_to == 0


def test_what_waits_is_bounded_by_number_and_by_size() -> None:
    place = Place(0)
    for number in range(handler_place.MAX_WAITING):
        assert not place.full
        take(place, number + 1, number)
    assert place.full
    large = Place(0)
    take(large, 1, 0, size=handler_place.MAX_WAITING_BYTES)
    assert large.full
    large.done()
    assert large.has_room


def test_what_is_remembered_is_bounded() -> None:
    place = Place(0)
    for number in range(handler_place.MAX_KNOWN + 10):
        place.take(f"a{number}", 1, number, None)
    assert len(place._known) == handler_place.MAX_KNOWN
