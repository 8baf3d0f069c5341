"""A slice of the campaign on real processes: every failpoint, both late EndTxns, and the usual harm."""

import random
from pathlib import Path

import pytest

from tests.faults import segment
from tests.faults.cluster import Cluster
from tests.faults.segment import Setting
from tests.faults.table import DEATHS, Planned, all_trials

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

USUAL = (
    "F02 longer than the session",
    "F04 late commit",
    "F04 late abort",
    "F06 kill",
    "F25 once",
)


def slice_of_all() -> list[Planned]:
    """One trial of each failpoint and of the usual harm, in an order that is the same every time."""
    planned = all_trials([*(f"F01 {point}" for point in DEATHS), *USUAL])
    random.Random(1).shuffle(planned)
    return planned


@pytest.mark.timeout(900)
def test_every_promise_holds_at_every_failpoint_and_under_the_usual_harm(tmp_path: Path) -> None:
    planned = slice_of_all()
    cluster = Cluster(tmp_path / "cluster", slots=2)
    try:
        cluster.start()
        setting = Setting(seed=1, rate=150.0, workers=2)
        done = segment.run(cluster, planned, tmp_path / "segment", setting)
    finally:
        cluster.stop()
    assert done.report.violations == []
    assert [fault for fault in done.faults if not fault.sound] == []
    assert len(done.faults) == len(planned)
