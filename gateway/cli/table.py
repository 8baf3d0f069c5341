"""`flexcore table`: the Faust tables, through their views on the projector."""

from urllib.parse import quote

from cyclopts import App

from gateway.cli import places
from gateway.cli.client import Api, connected
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show, show_all

TABLE = View(name="name", columns={"TABLE": "name", "KEYS": "keys", "PARTITIONS": "partitions"})
ROW = View(name="key", columns={})

app = App(name="table", help="Look into the Faust tables.", help_format="plaintext")


@app.command(name="list")
def list_(*, where: Where = WHERE) -> None:
    """List the tables with the keys and partitions that this projector holds."""
    with connected(places.projector_url(where)) as client:
        show_all(Api(client).get("/v1/tables").body["tables"], TABLE, where.output)


@app.command
def get(table: str, key: str, *, where: Where = WHERE) -> None:
    """Show the row of a key, from whichever projector holds it.

    Parameters
    ----------
    table
        pipelines or executions
    key
        the aggregate's id
    """
    with connected(places.projector_url(where)) as client:
        path = f"/v1/tables/{quote(table, safe='')}/{quote(key, safe='')}"
        show(Api(client).get(path).body, ROW, where.output)
