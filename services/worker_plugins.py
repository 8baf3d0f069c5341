"""How a worker runs plugins: folders, children, and what they may reach."""

import json
import os
from pathlib import Path

from gateway.settings import Broker, Settings
from plugins.outside import Outside
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
        outside=_outside(settings),
        scratch=scratch,
        size=max(2, os.cpu_count() or 2),
    )


def _outside(settings: Settings) -> Outside:
    """What steps may reach; secrets go into files, as argv and logs are read."""
    url, ours = settings.database.data_url, settings.kafka
    kafka: Broker = settings.steps.kafka
    if kafka.bootstrap is None and not ours.security():
        kafka = ours
    return Outside(
        data_url_file=None
        if url is None
        else _secret(settings.data_dir / "data_url", url.get_secret_value()),
        kafka_file=None
        if kafka.bootstrap is None
        else _secret(
            settings.data_dir / "steps_kafka.json",
            json.dumps({"bootstrap.servers": kafka.bootstrap, **kafka.security()}),
        ),
        reserved_topics=f"{ours.prefix}.",
        hosts=settings.steps.http_hosts,
    )


def _secret(path: Path, text: str) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path
