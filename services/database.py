"""`flexcore database`: migrate."""

from cyclopts import App

from gateway.cli import places
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show

MIGRATED = View(name="after", columns={})

app = App(name="database", help="Make the tables of the read models.", help_format="plaintext")


@app.command
def migrate(*, dry_run: bool = False, where: Where = WHERE) -> None:
    """Bring the tables of the read models up to date; run it before the services of a new release.

    What is there stays; two at once wait for each other. `flexcore dev` does it by itself.

    Parameters
    ----------
    dry_run
        only say what the database has, and what it would have
    """
    from projections.migrate import NEWEST
    from services.migrating import bring_up_to_date

    before = bring_up_to_date(_url(where), dry_run=dry_run)
    show({"before": before, "after": max(before or "", NEWEST)}, MIGRATED, where.output)


def _url(where: Where) -> str:
    """The configured database, else the running stack's. Raises Unavailable (`stack.not_running`)."""
    from services.dev import read_endpoints
    from services.stack_commands import settings_of

    folder = places.data_dir(where)
    configured = settings_of(folder).database.url
    if configured is not None:
        return configured.get_secret_value()
    return read_endpoints(folder).database
