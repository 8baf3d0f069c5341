"""Files that their owner alone may read."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> Path:
    """Replace a file in one step, mode 0600; returns its path."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return part.replace(path)
