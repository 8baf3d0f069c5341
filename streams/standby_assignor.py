"""The worker group's assignor: Faust's protocol, our rule of who owns and who stands by.

Faust's own rule never ends for some groups (32 partitions, 9 members, 4 standbys: seen), and its
members may differ by a whole share. The group's leader decides for all; every member learns its
standbys together with its partitions.
"""

from collections.abc import Collection, Mapping
from typing import Any

import faust
from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import PartitionAssignor

from streams.shares import Share, shared_out


class StandbyAssignor(PartitionAssignor):  # type: ignore[misc] # faust has no types here
    """For an app without tables whose topics all have `topic_partitions` partitions.

    `replicas` (Faust's setting `table_standby_replicas`) is the number of standbys.
    """

    def _perform_assignment(self, cluster: Any, member_metadata: Any) -> Any:  # noqa: ARG002 - Faust's
        clients = {
            name: self._get_client_metadata(metadata) for name, metadata in member_metadata.items()
        }
        self._update_member_urls(clients)
        topics = sorted({t for metadata in member_metadata.values() for t in metadata.subscription})
        before = {name: _share(client.assignment, topics) for name, client in clients.items()}
        shares = shared_out(before, self.app.conf.topic_partitions, self.replicas)
        assignments = {name: _assignment(share, topics) for name, share in shares.items()}
        return self._protocol_assignments(
            assignments,
            self._get_changelog_distribution(assignments),
            self._get_external_topic_distribution(assignments),
            dict.fromkeys(topics, 0),
        )


def standby_numbers(app: faust.App) -> frozenset[int]:
    """The partition numbers that this member stands by for, in its present assignment."""
    return frozenset(tp.partition for tp in app.assignor.assigned_standbys())


def _share(held: ClientAssignment, topics: Collection[str]) -> Share:
    return Share(_numbers(held.actives, topics), _numbers(held.standbys, topics))


def _numbers(held: Mapping[str, Collection[int]], topics: Collection[str]) -> frozenset[int]:
    return frozenset(number for topic in topics for number in held.get(topic, ()))


def _assignment(share: Share, topics: Collection[str]) -> ClientAssignment:
    return ClientAssignment(
        actives={topic: sorted(share.owned) for topic in topics},
        standbys={topic: sorted(share.standby) for topic in topics},
    )
