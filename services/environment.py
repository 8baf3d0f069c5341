"""Settings handed to child processes: plain values by environment, secrets by files of mode 0600."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr

from gateway.settings import Settings
from services.embedded.jars import ROOT
from services.private_file import write_private


def of_children(settings: Settings, secrets: Path) -> dict[str, str]:
    """The whole environment for children; secrets are written below `secrets`."""
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {**without_settings(), **dict(_variables(settings, "FLEXCORE", secrets))}


def without_settings() -> dict[str, str]:
    """The environment of children that get their settings later."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEXCORE__")}
    return {**kept, **python_path(kept)}


def python_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which a child's Python finds our packages, and never the caller's of the same name."""
    others = environment.get("PYTHONPATH", "").split(os.pathsep)
    path = os.pathsep.join([str(ROOT), *(part for part in others if part not in ("", str(ROOT)))])
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _variables(section: BaseModel, prefix: str, secrets: Path) -> Iterator[tuple[str, str]]:
    for name, value in section:
        variable = f"{prefix}__{name}".upper()
        match value:
            case None:
                continue
            case BaseModel():
                yield from _variables(value, variable, secrets)
            case SecretStr():
                path = secrets / variable.lower()
                yield f"{variable}_FILE", str(write_private(path, value.get_secret_value()))
            case tuple():
                yield variable, ",".join(value)
            case _:
                yield variable, str(value)
