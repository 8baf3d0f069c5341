"""Lists and single rows from PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from domain.errors import Invalid, NotFound, Unavailable
from projections.executions import EXECUTIONS, ExecutionById, ExecutionsMatching
from projections.handlers import HANDLERS
from projections.page import Page, Total
from projections.pipelines import PIPELINES, PipelineById, PipelinesMatching
from tests.projections.history import at, folded, pipeline, started
from tests.projections.storing import job, store

pytestmark = pytest.mark.postgres

Ask = Callable[[Any], Awaitable[Any]]


def asking(url: str, scenario: Callable[[Ask], Awaitable[None]]) -> None:
    """Run a scenario that asks queries."""

    async def run() -> None:
        async with AsyncConnectionPool(url, open=False, min_size=1, timeout=2) as pool:
            await scenario(lambda query: HANDLERS[type(query)](query, pool))

    asyncio.run(run())


def runs(count: int, tenant: str = "") -> dict[str, Any]:
    """Executions that started a second apart, two at a time."""
    rows = {}
    for number in range(count):
        key = f"{tenant}e{number:03d}"
        row = folded(EXECUTIONS, key, [started(key)])
        status = "running" if number % 3 else "failed"
        rows[key] = replace(row, started_at=at(number // 2), status=status)
    return rows


def ids(page: Page) -> list[str]:
    return [item["execution_id"] for item in page.items]


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_follow_each_other_by_cursor(read_models: str, *, oldest_first: bool) -> None:
    async def scenario(ask: Ask) -> None:
        await store(read_models, job(EXECUTIONS, runs(25)))
        seen: list[str] = []
        cursor = None
        for size in (10, 10, 5):
            wanted = ExecutionsMatching(
                tenant="default", limit=10, cursor=cursor, oldest_first=oldest_first
            )
            page = await ask(wanted)
            assert len(page.items) == size
            assert page.total == Total(25, capped=False)
            seen += ids(page)
            cursor = page.next_cursor
        assert cursor is None
        oldest = [f"e{number:03d}" for number in range(25)]
        assert seen == (oldest if oldest_first else oldest[::-1])

    asking(read_models, scenario)


def test_filters_narrow_a_list(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        await store(read_models, job(EXECUTIONS, runs(9)))
        failed = await ask(ExecutionsMatching(tenant="default", status="failed"))
        assert ids(failed) == ["e006", "e003", "e000"]
        late = await ask(ExecutionsMatching(tenant="default", since=at(4)))
        assert ids(late) == ["e008"]
        none = await ask(ExecutionsMatching(tenant="default", pipeline="other"))
        assert (none.items, none.total, none.next_cursor) == ([], Total(0, capped=False), None)

    asking(read_models, scenario)


def test_offsets_skip_rows(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        await store(read_models, job(EXECUTIONS, runs(5)))
        page = await ask(ExecutionsMatching(tenant="default", offset=3))
        assert ids(page) == ["e001", "e000"]

    asking(read_models, scenario)


def test_a_tenant_never_sees_another_ones_rows(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        await store(read_models, job(EXECUTIONS, {**runs(2), **runs(2, "acme~")}))
        acme = await ask(ExecutionsMatching(tenant="acme"))
        assert ids(acme) == ["e001", "e000"]
        assert (await ask(ExecutionById(tenant="acme", execution_id="e001")))["version"] == 1
        with pytest.raises(NotFound):
            await ask(ExecutionById(tenant="default", execution_id="acme~e001"))
        with pytest.raises(NotFound):
            await ask(PipelineById(tenant="acme", pipeline_id="weather"))

    asking(read_models, scenario)


def test_a_pipeline_is_found_by_id_and_by_name(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        row = folded(PIPELINES, "weather", pipeline("weather"))
        await store(read_models, job(PIPELINES, {"weather": row}))
        found = await ask(PipelineById(tenant="default", pipeline_id="weather"))
        named = await ask(PipelinesMatching(tenant="default", name="Weather by month"))
        assert named.items == [found]
        assert found["revision"] == 2

    asking(read_models, scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"offset": 1_001},
        {"cursor": "no cursor"},
        {"cursor": "bnVsbA"},
        {"cursor": "WyJ4IiwgMV0"},
        {"cursor": "ünïcode"},
        {"cursor": "x", "offset": 1},
    ],
)
def test_a_page_that_cannot_be_is_refused(read_models: str, wrong: dict[str, Any]) -> None:
    async def scenario(ask: Ask) -> None:
        with pytest.raises(Invalid) as refused:
            await ask(ExecutionsMatching(tenant="default", **wrong))
        assert refused.value.code == "query.invalid"

    asking(read_models, scenario)


def test_a_database_that_is_away_is_unavailable() -> None:
    async def run() -> None:
        nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
        async with AsyncConnectionPool(nowhere, open=False, min_size=1, timeout=0.2) as pool:
            with pytest.raises(Unavailable):
                await HANDLERS[PipelineById](PipelineById(tenant="t", pipeline_id="p"), pool)

    asyncio.run(run())


def test_an_older_row_never_replaces_a_newer_one(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        events = pipeline("weather")
        new, old = (folded(PIPELINES, "weather", events[:n]) for n in (3, 1))
        await store(read_models, job(PIPELINES, {"weather": new}, position=9))
        await store(read_models, job(PIPELINES, {"weather": old}, position=5))
        assert (await ask(PipelineById(tenant="default", pipeline_id="weather")))["version"] == 3
        with psycopg.connect(read_models) as connection:
            query = 'SELECT "position" FROM flexcore.checkpoints'
            assert connection.execute(query).fetchall() == [(9,)]

    asking(read_models, scenario)


def test_texts_that_postgresql_cannot_hold_stop_nothing(read_models: str) -> None:
    async def scenario(ask: Ask) -> None:
        created = replace(pipeline("p\0")[0], name="a\0b", description="\0")
        strange = folded(PIPELINES, "p\0", [created])
        plain = folded(PIPELINES, "plain", pipeline("plain"))
        await store(read_models, job(PIPELINES, {"p\0": strange, "plain": plain}))
        assert (await ask(PipelineById(tenant="default", pipeline_id="p\0")))["name"] == "a\0b"
        assert (await ask(PipelineById(tenant="default", pipeline_id="plain")))["version"] == 3

    asking(read_models, scenario)


def test_a_row_that_the_database_refuses_is_left_out_and_the_others_are_stored(
    read_models: str,
) -> None:
    async def scenario(ask: Ask) -> None:
        good = folded(PIPELINES, "good", pipeline("good"))
        bad = replace(folded(PIPELINES, "bad", pipeline("bad")), status="\0")
        await store(read_models, job(PIPELINES, {"bad": bad, "good": good}, position=4))
        assert (await ask(PipelineById(tenant="default", pipeline_id="good")))["version"] == 3
        with pytest.raises(NotFound):
            await ask(PipelineById(tenant="default", pipeline_id="bad"))

    asking(read_models, scenario)
