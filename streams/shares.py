"""Who owns which partition, and who stands by for it. No I/O.

what is held ──► kept within the limit ──► orphans to who stands by for them ──► the rest to who has least
                                                        standbys: who has read the partition already

Numbers differ by one at most, and what need not move stays: a partition that moves to a worker
that has not read it is closed until it is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Share:
    """Partition numbers of one member."""

    owned: frozenset[int] = frozenset()
    standby: frozenset[int] = frozenset()


def shared_out(before: Mapping[str, Share], partitions: int, standbys: int) -> dict[str, Share]:
    """Each member's next share; `before` names all members with what they held last.

    Every partition has one owner and `standbys` others that stand by, or all others where these
    are fewer.
    """
    owned = _owned(before, partitions)
    owner = {number: name for name, numbers in owned.items() for number in numbers}
    standby = _standbys(before, owner, min(standbys, len(before) - 1))
    return {name: Share(frozenset(owned[name]), frozenset(standby[name])) for name in before}


def _owned(before: Mapping[str, Share], partitions: int) -> dict[str, set[int]]:
    free = set(range(partitions))
    claims: dict[str, set[int]] = {}
    for name in sorted(before):
        # Two may claim the same: one of them was away when it was given to the other.
        claims[name] = set(before[name].owned & free)
        free -= claims[name]
    least, more = divmod(partitions, len(before))
    by_claims = sorted(claims, key=lambda name: (-len(claims[name]), name))
    room = {name: least + (rank < more) for rank, name in enumerate(by_claims)}
    for name, numbers in claims.items():
        kept = set(sorted(numbers)[: room[name]])
        free |= numbers - kept
        claims[name] = kept
    for promoted in (True, False):
        for number in sorted(free):
            takers = [
                name
                for name in claims
                if len(claims[name]) < room[name]
                and (number in before[name].standby or not promoted)
            ]
            if takers:
                taker = min(takers, key=lambda name: (len(claims[name]) - room[name], name))
                claims[taker].add(number)
                free.remove(number)
    return claims


@dataclass(slots=True)
class _Standing:
    """Standbys as they are chosen; nobody has over `limit` while others can have them."""

    limit: int
    of: dict[str, set[int]] = field(default_factory=dict)

    def take(self, number: int, names: Iterable[str], count: int) -> None:
        """Let up to `count` of `names` stand by for a partition, those with the least first."""
        ordered = sorted(names, key=lambda name: (len(self.of[name]), name))
        for name in ordered[:count]:
            self.of[name].add(number)

    def has_room(self, name: str) -> bool:
        return len(self.of[name]) < self.limit

    def count(self, number: int) -> int:
        return sum(number in numbers for numbers in self.of.values())


def _standbys(
    before: Mapping[str, Share], owner: Mapping[int, str], standbys: int
) -> dict[str, set[int]]:
    limit = -(-len(owner) * standbys // len(before))
    standing = _Standing(limit, {name: set() for name in before})
    for number in sorted(owner):
        have_read = [
            name
            for name, share in before.items()
            if name != owner[number] and number in share.standby | share.owned
        ]
        standing.take(number, filter(standing.has_room, have_read), standbys)
    for number in sorted(owner):
        while (lacking := standbys - standing.count(number)) > 0:
            others = [n for n in before if n != owner[number] and number not in standing.of[n]]
            standing.take(number, [n for n in others if standing.has_room(n)] or others, lacking)
    return standing.of
