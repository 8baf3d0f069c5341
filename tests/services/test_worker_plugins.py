"""What a worker gives its steps: no credentials of the event store, and secrets in files alone."""

import json
from pathlib import Path
from typing import Any

from gateway.settings import Settings
from services.worker_plugins import plugin_settings


def outside(folder: Path, **sections: Any) -> Any:
    return plugin_settings(Settings.model_validate({"data_dir": folder, **sections}), 0).outside


def test_steps_write_to_flexcores_broker_where_it_asks_for_no_credentials(tmp_path: Path) -> None:
    found = outside(tmp_path, kafka={"bootstrap": "here:1", "prefix": "acme"})
    assert found.kafka() == {"bootstrap.servers": "here:1"}
    assert found.reserved_topics == "acme."


def test_credentials_of_the_event_store_are_not_for_steps(tmp_path: Path) -> None:
    kafka = {
        "bootstrap": "here:1",
        "security_protocol": "SASL_SSL",
        "sasl_username": "flexcore",
        "sasl_password": "word",
    }
    assert outside(tmp_path, kafka=kafka).kafka_file is None
    own = {**kafka, "bootstrap": "there:1", "sasl_username": "steps"}
    found = outside(tmp_path, kafka=kafka, steps={"kafka": own})
    assert found.kafka()["sasl.username"] == "steps"


def test_secrets_lie_in_files_that_nobody_else_reads(tmp_path: Path) -> None:
    sections = {"database": {"data_url": "postgresql://a:word@b/c"}, "kafka": {"bootstrap": "k:1"}}
    settings = plugin_settings(Settings.model_validate({"data_dir": tmp_path, **sections}), 0)
    assert "word" not in json.dumps(settings.hello())
    assert settings.outside.data_url() == "postgresql://a:word@b/c"
    for file in (settings.outside.data_url_file, settings.outside.kafka_file):
        assert file is not None
        assert file.stat().st_mode & 0o777 == 0o600


def test_hosts_are_written_with_commas(tmp_path: Path) -> None:
    found = outside(tmp_path, steps={"http_hosts": "Intranet.example:8080, 10.0.0.1,"})
    assert found.hosts == ("intranet.example:8080", "10.0.0.1")
