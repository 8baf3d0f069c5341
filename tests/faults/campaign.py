"""A fault campaign: workers under an open load are killed and paused, then everything is checked.

python -m tests.faults.campaign --kills 12 --pauses 3 --seed 1 [--bootstrap HOST:PORT] [--out FILE]
exit 0 every promise held · 1 one was broken, or the run proves nothing
"""

import argparse
import random
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.embedded import kafka
from tests.faults.checker import check
from tests.faults.history import Fault
from tests.faults.nemesis import ANSWERS_BETWEEN, Nemesis
from tests.faults.open_transactions import OpenTransactions
from tests.faults.report import Report
from tests.faults.running import PARTITIONS, Served, running, served

PAUSE_S = 10.0
SESSION_S = 6.0
MIN_ACCEPTED_SHARE = 0.6
"""Of all commands; in an outage, commands with exact versions rightly conflict."""

Say = Callable[[str], None]


def run(
    *,
    kills: int,
    pauses: int,
    workers: int,
    bootstrap: str,
    folder: Path,
    rate: float = 200,
    seed: int = 1,
    pause_s: float = PAUSE_S,
    session_s: float = SESSION_S,
    say: Say = lambda _: None,
) -> Report:
    """Run a campaign on a prefix of its own; history and logs stay in `folder`.

    Raises TimeoutError where workers do not come up, KafkaException.
    """
    prefix = f"faults{secrets.token_hex(3)}"
    with served(
        bootstrap, prefix, folder, workers=workers, session_s=session_s, seed=seed
    ) as serving:
        with running(serving, rate=rate, seed=seed) as under_load:
            void = list(_harm(serving, kills, pauses, pause_s, random.Random(seed), say))
            say("healing")
            left = under_load.heal()
        exits = list(serving.workers.exits)
    say("checking")
    report = check(serving.history.operations, serving.dump())
    report.faults, report.exits, report.folder = serving.history.faults, exits, str(folder)
    for what in left:
        report.violate("at-rest", what)
    report.void = [*void, *_void(report)]
    return report


def _harm(
    serving: Served, kills: int, pauses: int, pause_s: float, chance: random.Random, say: Say
) -> Iterator[str]:
    """Do every fault in a random order; yields why it had to be given up."""
    transactions = OpenTransactions(serving.connection, serving.topics, PARTITIONS)
    nemesis = Nemesis(serving.board, serving.history, transactions)
    # Every other kill hits a transaction whose events are in the log already.
    plan = ["kill", "kill in transaction"] * kills
    plan = plan[:kills] + ["pause"] * pauses
    chance.shuffle(plan)
    for number, kind in enumerate(plan, start=1):
        slot = chance.choice(serving.workers.slots)
        try:
            if kind == "pause":
                fault = nemesis.pause(slot, pause_s)
            else:
                fault = nemesis.kill(slot, in_transaction=kind != "kill")
        except TimeoutError as error:
            yield f"{kind} {number} of slot {slot.number}: {error}"
            return
        say(f"{kind} {number}/{len(plan)} of slot {slot.number}: {fault.evidence}")


def _void(report: Report) -> Iterator[str]:
    """Why the run proves nothing."""
    for fault in report.faults:
        if not fault.sound:
            yield f"{fault.fault} of {fault.pid} did not hit: {fault.evidence}"
    yield from _thin(report.faults)
    share = report.counts["accepted"] / max(1, report.counts["commands"])
    if share < MIN_ACCEPTED_SHARE:
        yield f"only {share:.0%} of the commands were accepted"


def _thin(faults: list[Fault]) -> Iterator[str]:
    for fault in faults:
        answers = fault.evidence.get("answers_of_successor", ANSWERS_BETWEEN)
        if answers < ANSWERS_BETWEEN:
            yield f"only {answers} answers after {fault.fault} of {fault.pid}"


@contextmanager
def _broker(bootstrap: str | None, folder: Path) -> Iterator[str]:
    if bootstrap is not None:
        yield bootstrap
        return
    broker = kafka.start(folder / "kafka", usual_port=None)
    try:
        yield broker.bootstrap
    finally:
        broker.stop()


def main() -> int:
    """The command line; kills are done to one worker and pauses to one of two, unless said."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--pauses", type=int, default=3)
    parser.add_argument("--workers", type=int, help="1 for kills and 2 for pauses unless said")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bootstrap")
    parser.add_argument("--out", type=Path, help="where the reports go, else stdout")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flexcore-faults-"))
    plans = [(asked.kills, 0, asked.workers or 1), (0, asked.pauses, asked.workers or 2)]
    reports = []
    with _broker(asked.bootstrap, folder) as bootstrap:
        for number, (kills, pauses, workers) in enumerate(plans):
            if kills + pauses:
                found = run(
                    kills=kills,
                    pauses=pauses,
                    workers=workers,
                    bootstrap=bootstrap,
                    folder=folder / f"run-{number}",
                    rate=asked.rate,
                    seed=asked.seed,
                    say=lambda line: print(line, file=sys.stderr, flush=True),
                )
                reports.append(found)
    text = "[" + ",\n".join(report.text() for report in reports) + "]\n"
    if asked.out is None:
        sys.stdout.write(text)
    else:
        asked.out.write_text(text, encoding="utf-8")
    return 0 if all(report.sound for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
