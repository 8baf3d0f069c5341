"""Waiting until a read model includes a position."""

import asyncio

import psycopg
import pytest

from domain.errors import Unknown
from projections import migrate
from projections.checkpoints import CHANNEL, MAX_NOTIFICATION, Checkpoints, notification
from projections.executions import EXECUTIONS
from tests.projections.storing import job, store

pytestmark = pytest.mark.postgres


def test_who_waits_goes_on_when_the_position_is_stored(read_models: str) -> None:
    async def scenario() -> None:
        async with Checkpoints(read_models) as checkpoints:
            wanted = {("execution", 3): 7}
            waiting = asyncio.create_task(checkpoints.wait_for("executions", wanted, 10))
            await store(read_models, job(EXECUTIONS, {}, partition=3, position=6))
            assert not waiting.done()
            await store(read_models, job(EXECUTIONS, {}, partition=3, position=7))
            await waiting

    asyncio.run(scenario())


def test_what_was_stored_before_is_known(read_models: str) -> None:
    async def scenario() -> None:
        await store(read_models, job(EXECUTIONS, {}, partition=3, position=7))
        async with Checkpoints(read_models) as checkpoints:
            await checkpoints.wait_for("executions", {("execution", 3): 7}, 10)

    asyncio.run(scenario())


def test_a_read_model_that_stays_behind_is_an_error_that_says_so(read_models: str) -> None:
    async def scenario() -> None:
        async with Checkpoints(read_models) as checkpoints:
            with pytest.raises(Unknown) as behind:
                await checkpoints.wait_for("executions", {("execution", 0): 1}, 0.05)
            assert behind.value.code == "read_model.behind"

    asyncio.run(scenario())


def test_positions_in_contexts_that_a_projection_does_not_read_are_no_reason_to_wait(
    read_models: str,
) -> None:
    async def scenario() -> None:
        async with Checkpoints(read_models) as checkpoints:
            await checkpoints.wait_for("executions", {("pipeline", 0): 10**9}, 0.05)

    asyncio.run(scenario())


def test_listening_survives_nonsense_and_a_lost_connection(read_models: str) -> None:
    async def scenario() -> None:
        async with Checkpoints(read_models) as checkpoints:
            await store(read_models, job(EXECUTIONS, {}, position=1))
            await checkpoints.wait_for("executions", {("execution", 0): 1}, 10)
            with psycopg.connect(read_models, autocommit=True) as other:
                other.execute("SELECT pg_notify(%s, 'nonsense')", [CHANNEL])
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'flexcore-checkpoints'"
                    " AND datname = current_database()"
                )
            await store(read_models, job(EXECUTIONS, {}, position=2))
            await checkpoints.wait_for("executions", {("execution", 0): 2}, 10)

    asyncio.run(scenario())


def test_a_notification_that_would_be_too_long_says_nothing() -> None:
    few = {("executions", "execution", number): 1 for number in range(8)}
    many = {("executions", "execution", number): 1 for number in range(1_000)}
    assert 0 < len(notification(few)) <= MAX_NOTIFICATION
    assert notification(many) == ""


def test_migrations_run_once(database: str) -> None:
    assert migrate.current(database) is None
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.current(database) == "0001"
