"""docs/reference/settings.md, from gateway/settings.py."""

from collections.abc import Iterator
from itertools import groupby

from gateway.settings import Settings
from gateway.settings_sources import Explained, explained
from tools.reference.markdown import code, table

INTRO = """# Settings

A setting is taken from the first place that has it: a flag of the command line, the environment, a profile file, the default.
`flexcore config list` shows what is in force here and where it comes from; `flexcore config explain worker.standby` explains one.

- **Environment**: the names below. Where a setting is a secret, its name with `_FILE` behind it names a file that holds it.
- **Profile file**: `FLEXCORE__PROFILE=production.yaml` names a YAML file with the same sections: `FLEXCORE__API__PORT` is
  `port` under `api`.
- An unknown name is an error that names the nearest known one, so that a slip is not silent.

The script `flexcore` of a clone also reads `FLEXCORE_PYTHON`, the Python it installs with.
"""


def page() -> str:
    """Every setting, a table for each section."""
    found = sorted(explained(Settings, {}, Settings()), key=_section)
    return "\n".join([INTRO, *_sections(found)])


def _sections(settings: list[Explained]) -> Iterator[str]:
    for name, group in groupby(settings, _section):
        yield f"## {name.capitalize() if name else 'General'}\n"
        if name:
            yield f"{_about(name)}\n"
        yield table(("Setting", "Default", "Means"), map(_row, group))


def _row(setting: Explained) -> tuple[str, str, str]:
    secret = " A secret: also `_FILE`." if setting.secret else ""
    default = "" if setting.default in (None, ()) else code(setting.default)
    return code(setting.variable), default, f"{setting.about}.{secret}"


def _section(setting: Explained) -> str:
    """Its name, empty for what stands in no section."""
    parts = setting.variable.split("__")
    return parts[1].lower() if len(parts) > 2 else ""


def _about(section: str) -> str:
    annotation = Settings.model_fields[section].annotation
    return (annotation.__doc__ or "").strip()
