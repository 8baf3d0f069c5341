"""Options that commands share; on the command line they stand among the command's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Format = Literal["table", "json", "jsonl", "yaml", "name"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Shown:
    """How data is printed on stdout."""

    output: Annotated[
        Format,
        Parameter(
            name=["--output", "-o"],
            help="table for people; json, jsonl, yaml for programs; name prints ids alone",
        ),
    ] = "table"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Which FlexCore is meant: the configured one, else the one that runs over the data folder."""

    data_dir: Annotated[
        Path | None, Parameter(help="data folder of a stack (default: .flexcore)")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where(Shown, Place):
    """What a command takes that shows something of a stack."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common(Where):
    """What every command of the REST API takes."""

    api_url: Annotated[str | None, Parameter(help="base URL of the api")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Write:
    """How a command is to be judged."""

    expected_version: Annotated[
        str | None,
        Parameter(help="version that must be the last one: a number, `exists` or `none`"),
    ] = None
    command_id: Annotated[
        str | None,
        Parameter(help="the same id and content take effect once (default: a new one)"),
    ] = None
    dry_run: Annotated[
        bool, Parameter(help="say what would happen, or the refusal, and send nothing")
    ] = False


SHOWN = Shown()
PLACE = Place()
WHERE = Where()
COMMON = Common()
WRITE = Write()
