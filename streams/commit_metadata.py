"""What a worker writes beside each committed command offset: who it is and what it wrote last.

{"id": transactional id, "url": the worker's pages, "last": key of the last event}
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """`last_event_key` is empty where the partition has no event of ours yet."""

    transactional_id: str = ""
    url: str = ""
    last_event_key: str = ""

    def text(self) -> str:
        parts = {"id": self.transactional_id, "url": self.url, "last": self.last_event_key}
        return json.dumps(parts, separators=(",", ":"))


def parse(metadata: str | None) -> CommitMetadata:
    """The metadata of a commit; one that nobody of ours wrote counts as empty."""
    try:
        parts = json.loads(metadata or "{}")
        return CommitMetadata(
            str(parts.get("id", "")), str(parts.get("url", "")), str(parts.get("last", ""))
        )
    except (ValueError, AttributeError):
        return CommitMetadata()
