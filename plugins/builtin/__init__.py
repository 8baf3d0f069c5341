"""Table of contents: the steps that come with FlexCore, each `module:function`.

Naming them imports none of them; a child process does that when the first call asks for one.
"""

from collections.abc import Mapping

BUILTIN: Mapping[str, str] = {
    "flexcore.csv_read": "plugins.builtin.csv_read:run",
    "flexcore.ndjson_read": "plugins.builtin.ndjson_read:run",
    "flexcore.http_get": "plugins.builtin.http_get:run",
    "flexcore.select": "plugins.builtin.select:run",
    "flexcore.derive": "plugins.builtin.derive:run",
    "flexcore.filter": "plugins.builtin.filter:run",
    "flexcore.sort": "plugins.builtin.sort:run",
    "flexcore.deduplicate": "plugins.builtin.deduplicate:run",
    "flexcore.join": "plugins.builtin.join:run",
    "flexcore.aggregate": "plugins.builtin.aggregate:run",
    "flexcore.csv_write": "plugins.builtin.csv_write:run",
    "flexcore.ndjson_write": "plugins.builtin.ndjson_write:run",
    "flexcore.postgres_write": "plugins.builtin.postgres_write:run",
    "flexcore.kafka_write": "plugins.builtin.kafka_write:run",
}
