"""Files that steps write."""

import os
from pathlib import Path

from plugins.atomic_file import write_atomically
from plugins.steps import Output, StepContext, StepFailed


def written(path: str, data: bytes, context: StepContext) -> Output:
    """Replace the file; output `{"path", "bytes"}`.

    Raises `StepFailed` (`file.unavailable`, retryable), Invalid for a path that leads out.
    """
    place = context.files.place_to_write(path)
    try:
        write_atomically(place, data, mode=_mode(place))
    except OSError as error:
        raise StepFailed(
            "file.unavailable", f"'{path}': {error.strerror}", retryable=True
        ) from error
    return {"path": path, "bytes": len(data)}


def _mode(place: Path) -> int:
    """Who may read the file: as before where there is one, else as with any new file."""
    try:
        return place.stat().st_mode & 0o777
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        return 0o666 & ~umask
