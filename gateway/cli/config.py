"""`flexcore config`: list, explain."""

import difflib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cyclopts import App

from domain.errors import NotFound
from gateway.cli.options import SHOWN, Shown
from gateway.cli.output import View, show, show_all

SETTING = View(
    name="setting",
    columns={"SETTING": "setting", "VALUE": "value", "FROM": "source", "MEANS": "about"},
)

app = App(name="config", help="Look at the settings in force.", help_format="plaintext")


@app.command(name="list")
def list_(*, shown: Shown = SHOWN) -> None:
    """List every setting with its value and where that comes from."""
    show_all(_settings(), SETTING, shown.output)


@app.command
def explain(key: str, *, shown: Shown = SHOWN) -> None:
    """Say what a setting means, what is in force, and where that comes from.

    Parameters
    ----------
    key
        its name: FLEXCORE__WORKER__STANDBY, or worker.standby
    """
    settings = {one["setting"]: one for one in _settings()}
    name = key.upper().replace(".", "__")
    for known in (name, f"FLEXCORE__{name}"):
        if known in settings:
            show(settings[known], SETTING, shown.output)
            return
    near = difflib.get_close_matches(f"FLEXCORE__{name}", settings, n=1, cutoff=0.0)[0]
    raise NotFound(
        "settings.unknown", f"there is no setting {key!r}; the nearest is {near}", setting=key
    )


def _settings() -> list[dict[str, Any]]:
    from gateway.settings import Settings, read
    from gateway.settings_sources import explained

    found = explained(Settings, os.environ, read())
    return [_plain(asdict(one)) for one in found]


def _plain(setting: dict[str, Any]) -> dict[str, Any]:
    shown = {name: str(v) if isinstance(v, Path) else v for name, v in setting.items()}
    return {"setting": shown.pop("variable"), **shown}
