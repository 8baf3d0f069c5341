"""`flexcore faults`: a fault campaign on brokers and workers of its own; needs a clone of the project."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from cyclopts import App

from domain.errors import Invalid

CAMPAIGN = "tests.faults.campaign"
"""Not part of what is installed: by its name alone, so that nothing here depends on tests."""
RATE = 60.0

app = App(name="faults", help="Break the stack on purpose.", help_format="plaintext")


@app.default
def faults(
    *,
    minutes: float = 10.0,
    seed: int = 1,
    resume: Path = Path("faults.jsonl"),
    only: str = "",
    rate: float = RATE,
    brokers: int = 1,
) -> int:
    """Kill, stop, cut off and mislead real workers and brokers under load, then check every promise.

    Exit code 0: every promise held; 1: one was broken, and a folder with everything is named. Ctrl-C ends
    it once what was done so far is checked.

    Parameters
    ----------
    minutes
        how long trials are begun; the last check comes after
    seed
        of commands and faults
    resume
        the file that results are appended to; the kinds that lack trials there come first
    only
        faults to do, as in docs/faults.md and separated by commas: F04,F06 or "F01 after_commit"
    rate
        commands a second
    brokers
        1, or 3 with three copies; give these a file of their own
    """
    if find_spec(CAMPAIGN.partition(".")[0]) is None or find_spec(CAMPAIGN) is None:
        raise Invalid(
            "faults.not_here",
            "the fault harness is part of a clone (tests/faults), not of what is installed; "
            "clone the project and run ./flexcore faults there",
        )
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    return int(import_module(CAMPAIGN).main(minutes, seed, resume, wanted, rate, brokers))
