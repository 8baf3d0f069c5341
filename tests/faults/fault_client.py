"""A client for faults that come as commands: it sends what it is told to, good or bad."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import CreatePipeline, RevisePipeline
from streams.topics import partition_of
from tests.faults.history import Operation
from tests.faults.load import REVISED, Client

Headers = list[Any]
"""Pairs of name and bytes; the library's own type is invariant."""


class FaultClient(Client):
    """Used by the thread that does the faults."""

    @property
    def names(self) -> Sequence[str]:
        """Pipelines that everybody may revise."""
        return self._shared

    def create(self, name: str) -> Operation:
        """Send one creation of a pipeline; returns what was asked."""
        command = CreatePipeline(name, self._name(), "", REVISED)
        return self._command(command, "pipeline", name, "none").operation

    def revise(self, name: str, expected: str, command_id: str = "") -> Operation:
        """Send one revision of a pipeline; returns what was asked."""
        command = RevisePipeline(name, self._name(), "", REVISED)
        return self._command(command, "pipeline", name, expected, command_id).operation

    def execute(self, command: ExecutePipeline) -> Operation:
        """Send one start of a run."""
        return self._command(command, "execution", command.execution_id, "any").operation

    def again(self) -> None:
        """Send the last command once more."""
        assert self._last is not None, "there was one"
        self._send(self._last)

    def encoded(self) -> bytes:
        """The bytes of a good command that nobody has sent."""
        return self._codec.encode(RevisePipeline("unsent", self._name(), "", REVISED))

    def poison(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        """Send what is no command; its answer, if there is one, is nobody's."""
        for name, content in headers:
            if name == "ce_id":
                self._board.expect_foreign(content.decode("utf-8", "replace"))
        partition = self._random.randrange(self._partitions)
        with suppress(UnicodeDecodeError):
            # Anywhere else it would be forwarded first.
            partition = partition_of(key.decode(), self._partitions) if key else partition
        topic = self._topics.commands("pipeline")
        self._producer.produce(topic, value=value, key=key, headers=headers, partition=partition)

    def burst(self, count: int) -> None:
        """Send so many revisions of everybody's pipelines at once."""
        for _ in range(count):
            self.revise(self._random.choice(self._shared), "any")
        self._producer.poll(0)
