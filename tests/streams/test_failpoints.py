"""Each failpoint ends the process at its n-th time, and only where it is armed."""

import os
import subprocess
import sys

import pytest

from streams.failpoints import EXIT_KILLED, VARIABLE, Failpoint, armed, reached

PROGRAM = """
from streams.failpoints import Failpoint, reached
for number in range(3):
    print(number, flush=True)
    reached(Failpoint.AFTER_COMMIT)
    reached(Failpoint.BEFORE_ANSWER)
"""


@pytest.mark.parametrize(
    ("armed_as", "code", "printed"),
    [("after_commit", EXIT_KILLED, 1), ("after_commit:3", EXIT_KILLED, 3), ("", 0, 3)],
)
def test_a_process_dies_at_its_failpoint(armed_as: str, code: int, printed: int) -> None:
    environment = os.environ | {VARIABLE: armed_as}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=False
    )
    assert (run.returncode, len(run.stdout.split())) == (code, printed)


def test_nothing_is_armed_here() -> None:
    for point in Failpoint:
        assert not armed(point)
        reached(point)
