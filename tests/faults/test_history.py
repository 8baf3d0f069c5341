"""A history is read back as it was written, whoever wrote it at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.faults.history import Fault, History, Operation, read
from tests.faults.stories import sound_story


def test_a_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    operations = sound_story().operations
    fault = Fault(
        fault="kill", slot=0, pid=7, start=1.0, end=2.5, sound=True, evidence={"outstanding": 3}
    )
    history = History(tmp_path / "history.jsonl")
    for operation in operations:
        history.add(operation)
    history.add(fault)
    history.close()
    with (tmp_path / "history.jsonl").open("rb") as file:
        found, faults = read(file)
    told = [operation for operation in operations if operation.phase != "invoke"]
    assert [one for one in found if one.phase != "invoke"] == told
    assert faults == [fault]


def test_what_was_asked_is_told_by_what_was_answered(tmp_path: Path) -> None:
    story = sound_story()
    asked = story.operations[0]
    told = replace(story.operations[1], payload=asked.payload, sent=asked.t, expected="none")
    history = History(tmp_path / "history.jsonl")
    history.add(asked)
    history.add(told)
    history.close()
    with (tmp_path / "history.jsonl").open("rb") as file:
        assert read(file)[0] == [asked, told]


def test_lines_of_several_clients_do_not_mix(tmp_path: Path) -> None:
    asked = sound_story().operations[1]
    history = History(tmp_path / "history.jsonl")

    def client(_: int) -> None:
        for _ in range(200):
            history.add(asked)

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(client, range(8)))
    history.close()
    with (tmp_path / "history.jsonl").open("rb") as file:
        read_back: list[Operation] = read(file)[0]
    assert read_back == [asked] * 1_600 == history.operations
