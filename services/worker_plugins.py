"""How a worker runs plugins: folders, children, and what they may reach."""

import json
import os
from pathlib import Path

from gateway.settings import Broker, Settings
from plugins.outside import Outside
from plugins.pool import PluginHostSettings
from services.private_file import write_private


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
    return Outside(
        data_url_file=_data_url_file(settings),
        kafka_file=_kafka_file(settings),
        reserved_topics=f"{settings.kafka.prefix}.",
        hosts=settings.steps.http_hosts,
    )


def _data_url_file(settings: Settings) -> Path | None:
    url = settings.database.data_url
    if url is None:
        return None
    return write_private(settings.data_dir / "data_url", url.get_secret_value())


def _kafka_file(settings: Settings) -> Path | None:
    """The steps' own broker, or ours where it asks nobody who he is."""
    broker: Broker = settings.steps.kafka
    if broker.bootstrap is None and not settings.kafka.security():
        broker = settings.kafka
    if broker.bootstrap is None:
        return None
    given = {"bootstrap.servers": broker.bootstrap, **broker.security()}
    return write_private(settings.data_dir / "steps_kafka.json", json.dumps(given))
