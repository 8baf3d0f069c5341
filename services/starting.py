"""How each service begins: settings, then its body; what keeps it from starting is told once, with what to do.

settings ─► body ─► exit code                         0 ended as told · 70 stuck · 71 internal
     └────────┴─► error ─► one line `cannot_start` ─► exit code of the error's family
                  (on a terminal: error[<code>]: what / cause: / fix:)
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import structlog

from domain.errors import FlexCoreError, Invalid
from gateway import settings as configuration
from gateway.cli.problems import explained, parts_of
from gateway.settings import Settings
from observability import logs
from services.data_dir import told_where_unwritable
from services.embedded.errors import failed
from streams.exit_codes import EXIT_INTERNAL


def serve(service: str, body: Callable[[Settings], int]) -> NoReturn:
    """Run a service and end the process with its exit code.

    `body` takes SIGTERM and SIGINT over once it has begun something that wants an orderly end.
    """
    logs.configure(service)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _end_before_the_start)
    try:
        settings = configuration.read()
        with told_where_unwritable(settings.data_dir):
            code = body(settings)
    except FlexCoreError as error:
        code = _told(service, error)
    except Exception:
        code = _crashed(service)
    # Threads of librdkafka and of the plugin host must not hold the process.
    sys.stderr.flush()
    os._exit(code)


def _end_before_the_start(*_: object) -> None:
    os._exit(0)


def _told(service: str, error: FlexCoreError) -> int:
    if sys.stderr.isatty():
        print(explained(error), file=sys.stderr)
        return error.exit_code
    what, causes, fix = parts_of(error)
    log = structlog.get_logger(f"flexcore.{service}")
    log.error("cannot_start", code=error.code, what=what, cause="; ".join(causes), fix=fix)
    return error.exit_code


def _crashed(service: str) -> int:
    structlog.get_logger(f"flexcore.{service}").critical("crashed", exc_info=True)
    return EXIT_INTERNAL


# ── what can be looked at before anything is begun ───────────────────────────────────────


def needed(settings: Settings, service: str) -> str:
    """The broker's address. Raises Invalid where none is set."""
    if settings.kafka.bootstrap is None:
        raise _not_set(service, "FLEXCORE__KAFKA__BOOTSTRAP")
    return settings.kafka.bootstrap


def database_address(settings: Settings, service: str) -> str:
    """The database's. Raises Invalid where none is set, or something else."""
    if settings.database.url is None:
        raise _not_set(service, "FLEXCORE__DATABASE__URL")
    url = settings.database.url.get_secret_value()
    check_address(url)
    return url


def _not_set(service: str, name: str) -> Invalid:
    what, cause = f"the {service} cannot start", f"{name} is not set"
    fix = "set it; `flexcore dev` starts all services with everything set"
    return Invalid("settings.invalid", f"{what}; {cause}; {fix}", what=what, cause=cause, fix=fix)


def check_address(url: str) -> None:
    """Raises Invalid where `url` is no address of a PostgreSQL; its own words would show a password."""
    # Here, as a worker never gets to it.
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        what = "FLEXCORE__DATABASE__URL is no address of a PostgreSQL"
        fix = "write postgresql://user:password@host:port/database"
        raise Invalid("settings.invalid", f"{what}; {fix}") from None


_FOR_A_WHILE = (
    "starting up",
    "shutting down",
    "recovery",
    "not yet accepting",
    "slots",
    "too many",
)


def turned_away(said: str) -> bool:
    """Whether PostgreSQL's words mean that somebody has to change something: a password, a name.

    libpq does not hand out the code of an error while it connects.
    """
    return "FATAL:" in said and not any(sign in said for sign in _FOR_A_WHILE)


def listen(host: str, port: int, setting: str, *, backlog: int = 128) -> socket.socket:
    """A socket that listens there. Raises Unavailable where it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise failed(
            f"cannot listen on {host}:{port}",
            cause=os.strerror(error.errno) if error.errno and error.errno > 0 else str(error),
            fix=f"stop what uses it, or set {setting}",
        ) from error
