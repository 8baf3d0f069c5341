"""`flexcore schema`: the Avro schemas of all records, as they are released."""

import json
from pathlib import Path

from cyclopts import App

from domain.errors import NotFound
from gateway.cli.options import SHOWN, Shown
from gateway.cli.output import View, show, show_all, tell

SCHEMA = View(name="record", columns={"RECORD": "record", "SUBJECT": "subject", "FILE": "file"})

app = App(name="schema", help="Look at the Avro schemas.", help_format="plaintext")


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
