"""Two thousand runs of the shipped write path under faults; each promise holds in all of them."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from tests.simulation.campaign import piece, quiet_logs
from tests.simulation.planted import PLANTED
from tests.simulation.simulation import simulate

SEEDS, CHUNK = 2_000, 250

T = TypeVar("T")


@contextmanager
def beside_each_other(
    work: Callable[[Any], T], tasks: Iterable[Any]
) -> Iterator[dict[Any, Future[T]]]:
    """The results of all tasks, as they come: a run takes one core, and machines have several."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=context)
    try:
        yield {task: pool.submit(work, task) for task in tasks}
    finally:
        pool.shutdown(cancel_futures=True)


def broken_from(first: int) -> list[Any]:
    """The seeds of a chunk that break a promise, each with what it breaks."""
    return list(piece(first, CHUNK)["violations"])


def found_by(name: str) -> tuple[int | None, str]:
    """The first seed that finds a planted bug, and what the shipped code breaks there."""
    with quiet_logs():
        with PLANTED[name]() as parts:
            found = next((s for s in range(1, SEEDS) if simulate(s, parts).violation), None)
        return found, "" if found is None else simulate(found).violation


@pytest.fixture(scope="module")
def broken() -> Iterator[Mapping[int, Future[list[Any]]]]:
    with beside_each_other(broken_from, range(1, SEEDS, CHUNK)) as found:
        yield found


@pytest.fixture(scope="module")
def found() -> Iterator[Mapping[str, Future[tuple[int | None, str]]]]:
    with beside_each_other(found_by, PLANTED) as found:
        yield found


@pytest.mark.parametrize("first", range(1, SEEDS, CHUNK))
def test_promises_hold_whatever_happens(
    first: int, broken: Mapping[int, Future[list[Any]]]
) -> None:
    assert broken[first].result() == []


@pytest.mark.parametrize("seed", [3, 40, 230])
def test_a_seed_is_one_run(seed: int) -> None:
    with quiet_logs():
        assert len({simulate(seed).digest for _ in range(3)}) == 1


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(
    name: str, found: Mapping[str, Future[tuple[int | None, str]]]
) -> None:
    seed, broken = found[name].result()
    assert seed is not None, "not within 2,000 seeds"
    assert not broken, "the shipped code breaks there as well"
