"""Where settings come from, merged into one tree of plain values."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from domain.errors import Invalid

_PREFIX = "FLEXCORE__"
_PROFILE = "FLEXCORE__PROFILE"
_FILE = "_FILE"

Tree = dict[str, Any]


def merged(
    model: type[BaseModel], environment: Mapping[str, str], flags: Mapping[str, Any]
) -> Tree:
    """Profile file, then environment, then flags, each over the one before; raises `Invalid`."""
    known = dict(_keys(model))
    tree = _profile(environment.get(_PROFILE))
    for name, value in environment.items():
        if name.startswith(_PREFIX) and name != _PROFILE:
            path, found = _setting(name, value, known)
            _put(tree, path, found)
    for path, value in _leaves(flags):
        if value is not None:
            _put(tree, path, value)
    return tree


@dataclass(frozen=True, slots=True)
class Explained:
    """A setting: its name, what is in force and where that comes from, and what it means."""

    variable: str
    value: Any
    source: str
    default: Any
    secret: bool
    about: str


def explained(
    model: type[BaseModel], environment: Mapping[str, str], settings: BaseModel
) -> Iterator[Explained]:
    """Every setting; `settings` are those that `merged` led to. A secret's value is not told."""
    profile = {path for path, _ in _leaves(_profile(environment.get(_PROFILE)))}
    for variable, path, field in _fields(model):
        value: Any = settings
        for name in path:
            value = getattr(value, name)
        secret = _is_secret(field)
        source = "default"
        if variable in environment:
            source = "environment"
        elif secret and variable + _FILE in environment:
            source = environment[variable + _FILE]
        elif path in profile:
            source = environment[_PROFILE]
        about = " ".join((field.description or "").split())
        told = value if value is None or not secret else str(value)
        yield Explained(variable, told, source, field.default, secret, about)


def _fields(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], FieldInfo]]:
    """(environment name, path in the tree, field) of every setting."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, here)
        else:
            yield _PREFIX + "__".join(here).upper(), here, field


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in getattr(field.annotation, "__args__", ())


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(environment name, path in the tree) of every setting, and of every secret's file."""
    for variable, path, field in _fields(model):
        yield variable, path
        if _is_secret(field):
            yield variable + _FILE, path


def _setting(
    name: str, value: str, known: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], str]:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise Invalid(
            "settings.invalid",
            f"{name} is no setting; the nearest is {near}",
            setting=name,
            nearest=near,
        )
    path = known[name]
    if path[-1].upper() == name.rpartition("__")[2]:
        return path, value
    return path, _content(name, Path(value))


def _content(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise Invalid(
            "settings.invalid", f"{name} names a file that cannot be read: {error}", setting=name
        ) from error


def _profile(path: str | None) -> Tree:
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(_content(_PROFILE, Path(path)))
    except yaml.YAMLError as error:
        raise Invalid(
            "settings.invalid", f"{_PROFILE}: {path} is no YAML: {error}", setting=_PROFILE
        ) from error
    if not isinstance(found, dict | None):
        raise Invalid(
            "settings.invalid", f"{_PROFILE}: {path} must hold sections", setting=_PROFILE
        )
    return found or {}


def _leaves(
    tree: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        tree[name] = dict(inner) if isinstance(inner, Mapping) else {}
        tree = tree[name]
    tree[path[-1]] = value
