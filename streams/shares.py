"""Who owns which partition, and who stands by for it. No I/O.

what is held ──► kept within the limit ──► orphans to who stands by for them ──► the rest to who has least
                                                        standbys: who has read the partition already

Numbers differ by one at most, and what need not move stays: a partition that moves to a worker
that has not read it is closed until it is read.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


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


def _standbys(
    before: Mapping[str, Share], owner: Mapping[int, str], standbys: int
) -> dict[str, set[int]]:
    standing = _Standing(before, owner, standbys)
    # One for each partition, then the second: else the first ones would use up who has room.
    for _ in range(standbys):
        for number in sorted(owner):
            have_read = [n for n, share in before.items() if number in share.standby | share.owned]
            standing.take_one(number, filter(standing.has_room(number), have_read))
    for _ in range(standbys):
        for number in sorted(owner):
            standing.take_one(number, before)
    return standing.of


class _Standing:
    """Standbys as they are chosen.

    An owner's partitions are spread over all others: were they one member's, it would have no room
    for them when the owner dies, and they would go to members that have not read them.
    """

    def __init__(self, names: Iterable[str], owner: Mapping[int, str], standbys: int) -> None:
        self.of: dict[str, set[int]] = {name: set() for name in names}
        self._owner = owner
        self._standbys = standbys
        self._limit = -(-len(owner) * standbys // len(self.of))
        self._owned = Counter(owner.values())

    def take_one(self, number: int, names: Iterable[str]) -> None:
        """Let the one of `names` with the least stand by for a partition, if it lacks a standby."""
        if sum(number in numbers for numbers in self.of.values()) < self._standbys:
            others = (n for n in names if n != self._owner[number] and number not in self.of[n])
            chosen = min(others, key=lambda name: self._load(name, number), default=None)
            if chosen is not None:
                self.of[chosen].add(number)

    def has_room(self, number: int) -> Callable[[str], bool]:
        """Who can stand by for a partition and have no more than its part of all, and of the owner's."""
        owned = self._owned[self._owner[number]]
        most = -(-owned * self._standbys // max(len(self.of) - 1, 1))
        return lambda name: self._for(name, number) < most and len(self.of[name]) < self._limit

    def _load(self, name: str, number: int) -> tuple[int, int, str]:
        return self._for(name, number), len(self.of[name]), name

    def _for(self, name: str, number: int) -> int:
        """Of how many of this partition's owner's somebody is a standby."""
        owner = self._owner
        return sum(owner[other] == owner[number] for other in self.of[name])
