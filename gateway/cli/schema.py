"""`flexcore schema`: the Avro schemas of all records, as they are and as they were released."""

import json
from dataclasses import asdict
from pathlib import Path

from cyclopts import App

from domain.errors import Invalid, NotFound
from gateway.cli.options import SHOWN, Shown
from gateway.cli.output import View, show, show_all, tell

SCHEMA = View(name="record", columns={"RECORD": "record", "SUBJECT": "subject", "FILE": "file"})
PROBLEM = View(
    name="record",
    columns={
        "RECORD": "record",
        "FIELD": "field",
        "LEVEL": "level",
        "RELEASED": "version",
        "WHAT": "what",
        "FIX": "fix",
    },
)
RELEASED = View(
    name="record", columns={"RECORD": "record", "VERSION": "version", "RELEASE": "release"}
)

app = App(name="schema", help="Look at the Avro schemas and check them.", help_format="plaintext")


@app.command(name="list")
def list_(*, shown: Shown = SHOWN) -> None:
    """List the records with their registry subjects."""
    from schemas import catalogue

    rows = [
        {"record": name, "subject": f"flexcore.{record.topic}-{name}", "file": record.path}
        for name, record in catalogue.records().items()
    ]
    show_all(rows, SCHEMA, shown.output)


@app.command(name="show")
def show_(record: str, *, shown: Shown = SHOWN) -> None:
    """Show the schema of a record.

    Parameters
    ----------
    record
        its full name, or the last part of it
    """
    from schemas import catalogue

    for name in catalogue.records():
        if record in (name, name.rpartition(".")[2]):
            schema = json.loads(catalogue.committed(name))
            # A schema is no table.
            form = "json" if shown.output == "table" else shown.output
            show({**schema, "record": name} if form == "name" else schema, SCHEMA, form)
            return
    raise NotFound("schema.not_found", f"there is no record {record!r}; see `flexcore schema list`")


@app.command
def write(*, folder: Path | None = None, shown: Shown = SHOWN) -> None:
    """Write the schemas that the domain's classes have now; prints the files that changed.

    Parameters
    ----------
    folder
        where to (default: schemas/avsc of the clone)
    """
    from schemas import catalogue

    changed = catalogue.write(folder or Path(catalogue.__file__).parent / "avsc")
    view = View(name="file", columns={"FILE": "file"})
    if changed:
        show_all([{"file": str(path)} for path in changed], view, shown.output)
    tell(f"{len(changed)} of {len(catalogue.records())} schemas changed")


@app.command
def check(*, folder: Path | None = None, shown: Shown = SHOWN) -> int:
    """Say where the records' schemas do not go together with released ones; exit code 7 if anywhere.

    Parameters
    ----------
    folder
        schemas that are written (default: schemas/avsc of the clone)
    """
    from schemas import catalogue, released

    before = released.released()
    found = released.problems(folder or released.AVSC, before)
    if found or shown.output != "table":
        show_all([asdict(one) for one in found], PROBLEM, shown.output)
    tell(
        f"{len(catalogue.records())} records, {len(before)} released schemas: "
        f"{len(found)} {'problem' if len(found) == 1 else 'problems'}"
    )
    return Invalid.exit_code if found else 0


@app.command
def release(name: str, *, dry_run: bool = False, shown: Shown = SHOWN) -> None:
    """Add the schemas that no release has had yet to the record of the released ones.

    Parameters
    ----------
    name
        the release, such as 0.2.0
    dry_run
        only list what would be added
    """
    from schemas import released

    added = released.release(name, dry_run=dry_run)
    rows = [{name: one for name, one in asdict(new).items() if name != "schema"} for new in added]
    if rows or shown.output != "table":
        show_all(rows, RELEASED, shown.output)
    tell(f"{len(added)} schemas {'would be' if dry_run else 'were'} added")
