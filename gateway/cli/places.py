"""Where the parts of FlexCore are: flag > settings > `<data dir>/endpoints.json` of a running stack."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.errors import Unavailable
from gateway.cli.options import Common, Place

if TYPE_CHECKING:
    from gateway.settings import Settings
    from streams.connection import Connection

DATA_DIR = Path(".flexcore")


def api_url(options: Common) -> str:
    """Base URL of the api. Raises Unavailable (`stack.not_running`)."""
    if options.api_url is not None:
        return options.api_url.rstrip("/")
    settings = _settings()
    # Port 0 is for starting one on any free port; it says nothing about where that is.
    if settings is not None and "api" in settings.model_fields_set and settings.api.port:
        return f"http://{_reachable(settings.api.host)}:{settings.api.port}"
    return str(_running(options, settings)["api"])


def projector_url(options: Place) -> str:
    """Base URL of the table views. Raises Unavailable (`stack.not_running`)."""
    settings = _settings()
    if (
        settings is not None
        and "projector" in settings.model_fields_set
        and (port := settings.projector.web_port)
    ):
        return f"http://{_reachable(settings.projector.web_host)}:{port}"
    return str(_running(options, settings)["projector"])


def kafka(options: Place) -> "tuple[Connection, Settings]":
    """How to reach Kafka, and the settings in force. Raises Unavailable (`stack.not_running`)."""
    from gateway.settings import read
    from streams.connection import Connection

    settings = read()
    if settings.kafka.bootstrap is not None:
        return Connection(settings.kafka.bootstrap, settings.kafka.security()), settings
    return Connection(str(_running(options, settings)["kafka"])), settings


def data_dir(options: Place) -> Path:
    """The data folder that is meant."""
    return _data_dir(options, _settings())


def not_running(folder: Path) -> Unavailable:
    """The error of a command that found nobody to ask."""
    return Unavailable(
        "stack.not_running",
        f"no stack is running over {folder}; start one with flexcore dev",
        what="FlexCore is not running",
        cause=f"no stack runs over {folder}, and no other one is configured",
        fix="start one with `flexcore dev`, or name one with --api-url or --data-dir",
    )


def _running(options: Place, settings: "Settings | None") -> dict[str, Any]:
    folder = _data_dir(options, settings)
    try:
        found: dict[str, Any] = json.loads((folder / "endpoints.json").read_text("utf-8"))
    except FileNotFoundError:
        raise not_running(folder) from None
    return found


def _data_dir(options: Place, settings: "Settings | None") -> Path:
    if options.data_dir is not None:
        return options.data_dir
    return DATA_DIR if settings is None else settings.data_dir


def _settings() -> "Settings | None":
    """The settings, `None` where nobody set any: reading them costs more than most commands."""
    if not any(name.startswith("FLEXCORE__") for name in os.environ):
        return None
    from gateway.settings import read

    return read()


def _reachable(host: str) -> str:
    """An address to connect to, of one that is listened on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
