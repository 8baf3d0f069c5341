"""The whole stack on one machine, for `dev` and `demo`: embedded where nothing is configured.

Kafka ∥ PostgreSQL ─► topics ∥ migrations ─► worker ∥ projector ∥ api ─► endpoints.json
   each under a keeper (restart) and a supervisor (dies with us, even when we are kill -9ed)
"""

import gc
import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.errors import Unavailable
from gateway.settings import Settings
from services import data_dir as folder
from services import endpoints as endpoints_file
from services.endpoints import Endpoints
from services.environment import of_children, without_settings
from services.keeper import Keeper
from services.progress import OnProgress, Progress
from services.roles import API, PROJECTOR, ROLES, WORKER, Role, RoleStarter
from services.servers import Servers

log = logging.getLogger("flexcore.stack")

Prepare = Callable[[Settings], None]

INTERRUPTED = 130


class Stack:
    """A running stack; leaving the context ends it. Made by `start_stack`."""

    def __init__(self, settings: Settings, data_dir: Path, roles: Sequence[Role]) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._roles = roles
        self._resources = ExitStack()
        self._changes = threading.Lock()
        self._servers = Servers(settings, data_dir, self._publish)
        self._starters: dict[str, RoleStarter] = {}
        self._keepers: list[Keeper] = []
        self._published = False

    def start(self, on_progress: OnProgress, prepare: Prepare) -> None:
        """Start everything; whatever goes wrong, nothing is left running."""
        try:
            self._resources.enter_context(folder.locked(self._data_dir))
            with folder.told_where_unwritable(self._data_dir):
                self._start(on_progress, prepare)
        except BaseException:
            self._resources.close()
            raise
        self._published = True
        self._publish()

    def _start(self, on_progress: OnProgress, prepare: Prepare) -> None:
        endpoints_file.remove(self._data_dir)
        self._resources.callback(endpoints_file.remove, self._data_dir)
        self._resources.callback(self._servers.stop)
        self._prestart_roles()
        preload("projections.migrate", "streams.topics_admin")
        self._settings = self._servers.start(on_progress)
        on_progress(Progress("preparing topics and tables"))
        prepare(self._settings)
        on_progress(Progress("starting worker, projector and api"))
        self._resources.callback(self._stop_roles)
        self._start_roles()

    @property
    def settings(self) -> Settings:
        """The settings in force, with the addresses of the embedded parts filled in."""
        return self._settings

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is now."""
        urls = {name: starter.url for name, starter in self._starters.items()}
        api = urls.get(API.name, "")
        database, data = self._settings.database.url, self._settings.database.data_url
        return Endpoints(
            kafka=self._settings.kafka.bootstrap or "",
            registry=self._settings.registry.url or f"{api}/registry",
            api=api,
            worker=urls.get(WORKER.name, ""),
            projector=urls.get(PROJECTOR.name, ""),
            database=database.get_secret_value() if database else "",
            data_database=data.get_secret_value() if data else None,
            pids={**self._servers.pids, **{kept.name: kept.pids for kept in self._keepers}},
        )

    def wait(self) -> None:
        """Return when this process gets SIGINT or SIGTERM; only for the main thread.

        A second one ends it now (exit code 130); its supervisors then end all children.
        """
        told = threading.Event()

        def end(*_: object) -> None:
            if told.is_set():
                os._exit(INTERRUPTED)
            told.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        told.wait()

    def stop(self) -> None:
        """End the services, then the servers; may be called again."""
        self._published = False
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _publish(self) -> None:
        with self._changes:
            if self._published:
                endpoints_file.write(self._data_dir, self.endpoints)

    def _prestart_roles(self) -> None:
        """Let the services import themselves while Kafka and PostgreSQL start."""
        usual = {
            API.name: self._settings.api.port,
            PROJECTOR.name: self._settings.projector.web_port,
        }
        for role in self._roles:
            starter = self._starters[role.name] = RoleStarter(
                role,
                usual.get(role.name, self._settings.worker.web_port) or None,
                without_settings(),
                self._data_dir / "logs" / f"{role.name}.log",
                Path.cwd(),
            )
            self._resources.callback(starter.discard)
            starter.prestart()

    def _start_roles(self) -> None:
        environment = of_children(self._settings, self._data_dir / "secrets")
        for name, starter in self._starters.items():
            starter.environment = environment
            self._keepers.append(Keeper(name, starter, self._publish))
        # One that fails, or Ctrl-C, ends the waiting for the others.
        starts = [keeper.first_start for keeper in self._keepers]
        in_parallel(starts, on_failure=self._stop_roles)

    def _stop_roles(self) -> None:
        in_parallel([keeper.stop for keeper in self._keepers])


def preload(*modules: str) -> None:
    """Import in the background what is needed when the servers have started."""
    for module in modules:
        threading.Thread(target=importlib.import_module, args=[module], daemon=True).start()


def in_parallel(
    calls: Sequence[Callable[[], object]], *, on_failure: Callable[[], None] = lambda: None
) -> None:
    """Make all calls at once and wait for all; `on_failure` is called when one raises, then that is raised."""
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        running = [pool.submit(call) for call in calls]
        try:
            for future in as_completed(running):
                future.result()
        except BaseException:
            on_failure()
            raise


def prepare_topics_and_tables(settings: Settings) -> None:
    """Make missing topics, schemas and tables; raises `Unavailable`."""
    in_parallel([lambda: _apply_topics(settings), lambda: _migrate(settings)])


def _apply_topics(settings: Settings) -> None:
    from streams import topics_admin
    from streams.connection import Connection
    from streams.topics import Topics

    kafka = settings.kafka
    topics_admin.apply(
        Connection(kafka.bootstrap or "", kafka.security()),
        Topics(kafka.prefix),
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        registry_url=settings.registry.url,
    )
    # Admin clients end in reference cycles; left there, they would complain when the broker stops.
    gc.collect()


def _migrate(settings: Settings) -> None:
    from services.migrating import bring_up_to_date

    if settings.database.url is not None:
        bring_up_to_date(settings.database.url.get_secret_value())


def start_stack(
    settings: Settings,
    *,
    data_dir: Path,
    on_progress: OnProgress,
    roles: Sequence[Role] = ROLES,
    prepare: Prepare = prepare_topics_and_tables,
) -> Stack:
    """Start a stack over `data_dir` and return when every service is ready.

    Raises `Unavailable` (`stack.failed`), with `what`, `cause` and `fix` as fields.
    """
    data_dir = data_dir.absolute()
    stack = Stack(_rooted(settings, data_dir), data_dir, roles)
    stack.start(on_progress, prepare)
    return stack


def _rooted(settings: Settings, data_dir: Path) -> Settings:
    files = settings.files.model_copy(update={"root": (settings.files.root or Path()).absolute()})
    return settings.model_copy(update={"files": files, "data_dir": data_dir})


def stop_stack(data_dir: Path) -> bool:
    """End the stack that runs over `data_dir`; False where none does."""
    return folder.end_holder(data_dir)


def read_endpoints(data_dir: Path) -> Endpoints:
    """Where the running stack's parts are; raises `Unavailable` (`stack.not_running`)."""
    found = endpoints_file.load(data_dir) if folder.holder(data_dir) is not None else None
    if found is None:
        raise Unavailable(
            "stack.not_running",
            f"no stack is running over {data_dir}; start one with flexcore dev",
            what="FlexCore is not running",
            cause=f"no stack runs over {data_dir}",
            fix="start one with flexcore dev, or name another --data-dir",
        )
    return found
