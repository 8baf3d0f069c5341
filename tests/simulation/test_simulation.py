"""Two thousand runs of the shipped write path under faults; each promise holds in all of them."""

from collections.abc import Iterator

import pytest

from tests.simulation.campaign import quiet_logs
from tests.simulation.planted import PLANTED
from tests.simulation.simulation import simulate

SEEDS, CHUNK = 2_000, 250


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_logs():
        yield


@pytest.mark.parametrize("first", range(1, SEEDS, CHUNK))
def test_promises_hold_whatever_happens(first: int) -> None:
    broken = [run for seed in range(first, first + CHUNK) if (run := simulate(seed)).violation]
    assert not broken, [(run.seed, run.violation) for run in broken]


@pytest.mark.parametrize("seed", [3, 40, 230])
def test_a_seed_is_one_run(seed: int) -> None:
    assert len({simulate(seed).digest for _ in range(3)}) == 1


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    with PLANTED[name]() as parts:
        found = next((s for s in range(1, SEEDS) if simulate(s, parts).violation), None)
    assert found is not None, "not within 2,000 seeds"
    assert not simulate(found).violation, "the shipped code breaks there as well"
