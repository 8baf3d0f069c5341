"""The plugin host's place: steps end when the simulation says so."""

from collections.abc import Callable
from random import Random

from plugins.step_call import Failed, StepCall, StepResult, Succeeded

DONE = Succeeded('{"rows":[]}', 0.1)
TRY_AGAIN = Failed("plugin.failed", "the disk was full", 0.1, retryable=True)
BROKEN = Failed("plugin.failed", "no such file", 0.1, retryable=False)


class ScriptedRunner:
    """Keeps what it was given until `end_one`."""

    def __init__(self) -> None:
        self._calls: dict[str, Callable[[StepResult], None]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def submit(self, call: StepCall, on_done: Callable[[StepResult], None]) -> None:
        assert call.key not in self._calls, "the same attempt runs twice in one worker"
        self._calls[call.key] = on_done

    def cancel(self, concerned: Callable[[str], bool]) -> None:
        self._calls = {key: done for key, done in self._calls.items() if not concerned(key)}

    def stop(self, concerned: Callable[[str], bool]) -> None:
        self.cancel(concerned)

    def end_one(self, random: Random) -> str:
        """End a step that runs; its key."""
        key = random.choice(list(self._calls))
        self._calls.pop(key)(random.choices((DONE, TRY_AGAIN, BROKEN), (8, 2, 1))[0])
        return key
