"""The worker group in the model: who is a member, in which generation, of which places.

join ──► (all members joined, or the late ones dropped) ──► generation + 1, places dealt anew
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.turn import Place


@dataclass(slots=True)
class Group:
    """Eager rebalancing, as Faust's driver does it; `members` maps member ids to client ids."""

    generation: int = 0
    members: dict[str, str] = field(default_factory=dict)
    assigned: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    offsets: dict[Place, tuple[int, str]] = field(default_factory=dict)
    rebalancing: bool = False
    _joins: int = 0

    def join(self, client: str, member: str) -> str:
        """JoinGroup; an unknown member gets a new id."""
        if member not in self.members:
            self._joins += 1
            member = f"{client}/{self._joins}"
        self.rebalancing = True
        self.joined[member] = client
        return member

    def expire(self, member: str) -> None:
        """The session of a member ends; the others share its places."""
        del self.members[member]
        self.joined.pop(member, None)
        self.rebalancing = True

    def complete(self, places: Sequence[Place], shuffled: Callable[[list[str]], None]) -> bool:
        """End the rebalance if everybody has joined."""
        if not self.rebalancing or not self.joined or self.members.keys() - self.joined.keys():
            return False
        self.generation += 1
        self.members, self.joined, self.rebalancing = self.joined, {}, False
        order = sorted(self.members)
        shuffled(order)
        self.assigned = {
            member: tuple(p for n, p in enumerate(places) if n % len(order) == mine)
            for mine, member in enumerate(order)
        }
        return True
