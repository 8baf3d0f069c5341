"""`flexcore doctor`: what is wrong with this machine or the stack, and the command that mends it.

machine: versions, data folder, ports ──► stack: its parts ──► broker ──► topics, schemas
                                                          └──► database ──► migrations, clock
"""

import platform
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from domain.errors import FlexCoreError, Unavailable
from gateway.cli import places
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show_all, tell
from services.endpoints import Endpoints

if TYPE_CHECKING:
    from gateway.settings import Settings
    from streams.connection import Connection

State = Literal["ok", "warning", "failed"]
FINDING = View(
    name="check", columns={"CHECK": "check", "STATE": "state", "FOUND": "found", "FIX": "fix"}
)
LOW_BYTES, TOO_LOW_BYTES = 5 * 1024**3, 1024**3
WITHIN_S = 5.0
CLOCK_S = 1.0
"""Positions and retention rest on the broker's clock; a second apart is what people notice first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is a command, or what to look at; empty where all is well."""

    check: str
    state: State
    found: str
    fix: str = ""


def doctor(*, where: Where = WHERE) -> int:
    """Look at machine, settings, broker, topics, schemas and database; exit code 1 where one is ill.

    What is wrong is told with the command that mends it.
    """
    findings = list(examined(places.data_dir(where)))
    show_all([asdict(one) for one in findings], FINDING, where.output)
    failed = sum(one.state == "failed" for one in findings)
    tell(f"{len(findings)} checks, {failed} failed")
    return 1 if failed else 0


def examined(folder: Path) -> Iterator[Finding]:
    """Everything that can be looked at, over the stack of a data folder or what is configured."""
    from gateway.settings import read

    yield _versions()
    yield _folder(folder)
    try:
        settings = read(flags={"data_dir": folder})
    except FlexCoreError as error:
        yield Finding("settings", "failed", error.message, "flexcore config list")
        return
    yield Finding("settings", "ok", "every FLEXCORE__ setting is known and valid")
    endpoints = _endpoints(folder)
    if endpoints is None:
        yield from _ports(settings)
    else:
        yield from _stack(folder)
    yield from _broker(settings, endpoints)
    yield from _database(settings, endpoints)


def _versions() -> Finding:
    from confluent_kafka import libversion

    python = platform.python_version()
    found = (
        f"Python {python}, librdkafka {libversion()[0]}, {platform.system()} {platform.machine()}"
    )
    if not (3, 11) <= tuple(map(int, python.split(".")[:2])) <= (3, 13):
        return Finding("versions", "failed", found, "use Python 3.11, 3.12 or 3.13")
    return Finding("versions", "ok", found)


def _folder(folder: Path) -> Finding:
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    free = shutil.disk_usage(there).free
    found = f"{folder}: {free / 1024**3:.1f} GiB free"
    if free < TOO_LOW_BYTES:
        return Finding("disk", "failed", found, "free some space, or name another --data-dir")
    return Finding("disk", "warning" if free < LOW_BYTES else "ok", found)


def _endpoints(folder: Path) -> Endpoints | None:
    from services.dev import read_endpoints

    try:
        return read_endpoints(folder)
    except Unavailable:
        return None


def _ports(settings: "Settings") -> Iterator[Finding]:
    """Of a stack that is still to be started; it takes others where these are taken."""
    from services.embedded.kafka import USUAL_PORT

    wanted = {"api": settings.api.port, "projector": settings.projector.web_port}
    if settings.kafka.bootstrap is None:
        wanted["kafka"] = USUAL_PORT
    taken = [f"{name} {port}" for name, port in wanted.items() if port and _is_taken(port)]
    if taken:
        yield Finding(
            "ports", "warning", f"taken: {', '.join(taken)}; `flexcore dev` will use free ones"
        )
    else:
        yield Finding("ports", "ok", ", ".join(f"{name} {port}" for name, port in wanted.items()))


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _stack(folder: Path) -> Iterator[Finding]:
    from services.status import status_of

    for part in status_of(folder):
        found = f"{part.address}, {'ready' if part.ready else 'not ready'}"
        fix = "" if part.ready else f"look into {folder}/logs; `flexcore stop`, `flexcore dev`"
        yield Finding(part.role, "ok" if part.ready else "failed", found, fix)


# ── Kafka ────────────────────────────────────────────────────────────────────────────────


def _broker(settings: "Settings", endpoints: Endpoints | None) -> Iterator[Finding]:
    from streams.connection import Connection

    bootstrap = settings.kafka.bootstrap or (endpoints and endpoints.kafka)
    if not bootstrap:
        yield Finding("broker", "warning", "no stack runs and none is configured", "flexcore dev")
        return
    connection = Connection(bootstrap, settings.kafka.security())
    reached = _reached(connection)
    yield reached
    if reached.state == "ok":
        yield from _topics(connection, settings)


def _reached(connection: "Connection") -> Finding:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(connection.client())
    began = time.perf_counter()
    try:
        metadata = admin.list_topics(timeout=WITHIN_S)
    except KafkaException as error:
        return Finding(
            "broker",
            "failed",
            f"{connection.bootstrap}: {error.args[0].str()}",
            "check FLEXCORE__KAFKA__BOOTSTRAP and FLEXCORE__KAFKA__SECURITY_PROTOCOL",
        )
    took_ms = (time.perf_counter() - began) * 1_000
    found = f"{connection.bootstrap}: {len(metadata.brokers)} brokers, {took_ms:.0f} ms"
    return Finding("broker", "ok", found)


def _topics(connection: "Connection", settings: "Settings") -> Iterator[Finding]:
    from streams import topics_admin
    from streams.registry import load_registry
    from streams.topics import Topics

    topics = Topics(settings.kafka.prefix)
    try:
        partitions = topics_admin.verify(connection, topics, within_s=WITHIN_S)
    except FlexCoreError as error:
        yield Finding("topics", "failed", error.message, "flexcore topics apply")
        return
    count = len(list(topics.table()))
    yield Finding("topics", "ok", f"{count} topics of {partitions} partitions")
    try:
        known = load_registry(connection, topics, settings.registry.url).ids()
    except FlexCoreError as error:
        yield Finding("schemas", "failed", error.message, "flexcore topics apply")
        return
    yield Finding("schemas", "ok", f"all {len(known)} records are registered")


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────


def _database(settings: "Settings", endpoints: Endpoints | None) -> Iterator[Finding]:
    import psycopg

    from projections import migrate

    configured = settings.database.url
    url = configured.get_secret_value() if configured else endpoints and endpoints.database
    if not url:
        yield Finding("database", "warning", "no stack runs and none is configured", "flexcore dev")
        return
    try:
        with psycopg.connect(url, connect_timeout=int(WITHIN_S)) as connection:
            before = datetime.now(UTC)
            row = connection.execute("SELECT clock_timestamp(), version()").fetchone()
            after = datetime.now(UTC)
        newest = migrate.current(url)
    except psycopg.Error as error:
        # The address may hold a password; PostgreSQL's own words do not.
        found = " ".join(str(error).split())[:200]
        yield Finding("database", "failed", found, "check FLEXCORE__DATABASE__URL")
        return
    assert row is not None, "a SELECT without FROM has a row"
    yield Finding("database", "ok", " ".join(str(row[1]).split()[:2]))
    if newest == migrate.NEWEST:
        yield Finding("migrations", "ok", f"{newest} is the newest")
    else:
        found = f"the database has {newest or 'none'}, this release {migrate.NEWEST}"
        yield Finding("migrations", "failed", found, "flexcore database migrate")
    apart_s = max((before - row[0]).total_seconds(), (row[0] - after).total_seconds(), 0.0)
    state: State = "ok" if apart_s < CLOCK_S else "warning"
    fix = "" if state == "ok" else "let both machines set their clocks by NTP"
    yield Finding("clock", state, f"the database's is {apart_s:.1f} s away from ours", fix)
