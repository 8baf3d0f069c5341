"""How a worker runs plugins: folders, children, and the file by which they reach the database."""

import os
from pathlib import Path

from gateway.settings import Settings
from plugins.pool import PluginHostSettings


def plugin_settings(settings: Settings, slot_number: int) -> PluginHostSettings:
    """The plugin host's settings; makes the folders it needs."""
    blobs = settings.data_dir / "blobs"
    scratch = settings.data_dir / "scratch" / str(slot_number)
    for folder in (blobs, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return PluginHostSettings(
        blobs=blobs,
        files_root=settings.files.root or Path.cwd(),
        data_url_file=_data_url_file(settings),
        scratch=scratch,
        size=max(2, os.cpu_count() or 2),
    )


def _data_url_file(settings: Settings) -> Path | None:
    """Where children read the URL of the pipelines' database: a file, as argv and logs are read."""
    url = settings.database.data_url
    if url is None:
        return None
    path = settings.data_dir / "data_url"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(url.get_secret_value())
    return path
