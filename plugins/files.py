"""Files of pipelines: paths relative to one root, which they may not leave, by link neither."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from domain.errors import Invalid, NotFound, Unavailable


class Files:
    """The folder `FLEXCORE__FILES__ROOT` as steps see it; raises `Invalid` for ways out of it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def open_to_read(self, path: str) -> BinaryIO:
        """A regular file, opened; raises `NotFound` (`file.not_found`), `Invalid`, `Unavailable`."""
        place = self._inside(path)
        try:
            # Non-blocking: opening a named pipe would otherwise wait for its writer for ever.
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(
                "file.not_found", f"there is no file '{path}' under the files root"
            ) from None
        except OSError as error:
            raise Unavailable("file.unavailable", f"'{path}': {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Invalid("file.invalid", f"'{path}' is not a regular file")
        return os.fdopen(descriptor, "rb")

    def place_to_write(self, path: str) -> Path:
        """Where a file of this name may be written; raises `Invalid` for a folder or a way out."""
        place = self._inside(path)
        if place.is_dir() or place == self._root:
            raise Invalid("file.invalid", f"'{path}' is a folder; a file name is required")
        return place

    def _inside(self, path: str) -> Path:
        if not path or "\0" in path or Path(path).is_absolute():
            raise Invalid(
                "file.invalid", f"{path!r}; a path relative to the files root is required"
            )
        try:
            place = (self._root / path).resolve()
        except (OSError, RuntimeError) as error:  # a loop of links
            raise Invalid("file.invalid", f"'{path}' cannot be resolved: {error}") from error
        if not place.is_relative_to(self._root):
            raise Invalid(
                "file.invalid", f"'{path}' leaves the files root; paths must stay inside it"
            )
        return place
