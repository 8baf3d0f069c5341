"""What happens while a stack starts, as values; and how a console shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step (`text`); while something is downloaded also how many bytes of how many."""

    text: str
    done_bytes: int = 0
    total_bytes: int = 0


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Show nothing."""


@contextmanager
def console_progress() -> Iterator[OnProgress]:
    """Show steps as lines on stderr and downloads as a bar; a bar only where stderr is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def show(progress: Progress) -> None:
            if not progress.total_bytes:
                console.print(progress.text, style="dim")
                return
            if progress.text not in tasks:
                tasks[progress.text] = bars.add_task(progress.text, total=progress.total_bytes)
                if not console.is_terminal:
                    console.print(f"{progress.text} ({progress.total_bytes / 1e6:.0f} MB)")
            bars.update(tasks[progress.text], completed=progress.done_bytes)

        yield show
