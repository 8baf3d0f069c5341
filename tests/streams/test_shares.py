"""Who owns a partition and who stands by for it, whatever the group has been through."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.shares import Share, shared_out

Shares = dict[str, Share]

sizes = st.tuples(st.integers(1, 40), st.integers(0, 4))
"""(partitions, standbys)"""
changes = st.lists(st.integers(-6, 1), max_size=12)
"""1 and 0: somebody joins; -n: the n-th member leaves."""


def after(group: Shares, change: int, number: int) -> Shares:
    """The members after a change, each with what it held."""
    if change >= 0 or len(group) == 1:
        return {**group, f"member-{number}": Share()}
    gone = sorted(group)[change % len(group)]
    return {name: share for name, share in group.items() if name != gone}


def owner_of(group: Shares, number: int) -> str:
    (owner,) = [name for name, share in group.items() if number in share.owned]
    return owner


@given(sizes, changes)
@settings(max_examples=100)
def test_every_partition_has_one_owner_and_its_standbys(
    size: tuple[int, int], history: list[int]
) -> None:
    partitions, standbys = size
    group = shared_out({"member": Share()}, partitions, standbys)
    for number, change in enumerate(history):
        group = shared_out(after(group, change, number), partitions, standbys)
        counts = [len(share.owned) for share in group.values()]
        assert max(counts) - min(counts) <= 1
        for partition in range(partitions):
            owner = owner_of(group, partition)
            standing = [name for name, share in group.items() if partition in share.standby]
            assert owner not in standing
            assert len(standing) == min(standbys, len(group) - 1)


@given(sizes, changes)
@settings(max_examples=100)
def test_only_what_must_move_moves(size: tuple[int, int], history: list[int]) -> None:
    partitions, standbys = size
    group = shared_out({"member": Share()}, partitions, standbys)
    for number, change in enumerate(history):
        members = after(group, change, number)
        next_group = shared_out(members, partitions, standbys)
        moved = {p for p in range(partitions) if owner_of(group, p) != owner_of(next_group, p)}
        orphans = {p for p in range(partitions) if owner_of(group, p) not in next_group}
        newcomers = [share for name, share in next_group.items() if name not in group]
        assert moved == orphans.union(*(share.owned for share in newcomers))
        group = next_group


@given(st.integers(2, 8), st.integers(1, 5))
def test_a_group_that_stays_keeps_its_shares(members: int, each: int) -> None:
    group = shared_out({f"member-{n}": Share() for n in range(members)}, members * each, 1)
    assert shared_out(group, members * each, 1) == group


@given(sizes, changes)
@settings(max_examples=100)
def test_an_owners_partitions_are_spread_over_those_who_stand_by(
    size: tuple[int, int], history: list[int]
) -> None:
    partitions, standbys = size
    group = shared_out({"member": Share()}, partitions, standbys)
    for number, change in enumerate(history):
        group = shared_out(after(group, change, number), partitions, standbys)
        others = len(group) - 1
        for owner, held in group.items():
            standing = [held.owned & share.standby for n, share in group.items() if n != owner]
            most = -(-len(held.owned) * min(standbys, others) // max(others, 1))
            # Where several stand by for a partition, one of them may take one more.
            assert all(len(numbers) <= most + (standbys > 1) for numbers in standing)


@given(st.integers(3, 6), st.integers(1, 4))
def test_after_any_death_every_partition_goes_to_its_standby(members: int, each: int) -> None:
    partitions = members * (members - 1) * each
    group: Shares = {}
    for number in range(members):
        group = shared_out({**group, f"member-{number}": Share()}, partitions, 1)
    for dead in group:
        left = {name: share for name, share in group.items() if name != dead}
        for name, share in shared_out(left, partitions, 1).items():
            assert share.owned <= left[name].owned | left[name].standby


@given(st.integers(2, 6), st.integers(1, 6))
def test_where_all_stand_by_every_orphan_goes_to_a_standby(members: int, each: int) -> None:
    group = shared_out({f"member-{n}": Share() for n in range(members)}, members * each, members)
    left = {name: share for name, share in group.items() if name != "member-0"}
    for name, share in shared_out(left, members * each, members).items():
        assert share.owned <= left[name].owned | left[name].standby


def test_a_dead_owner_is_followed_by_its_standby() -> None:
    group = shared_out({"a": Share(), "b": Share(), "c": Share()}, 6, 1)
    left = {name: group[name] for name in ("b", "c")}
    found = shared_out(left, 6, 1)
    for partition in group["a"].owned:
        assert partition in left[owner_of(found, partition)].standby


def test_two_who_claim_the_same_partition_do_not_both_get_it() -> None:
    claimed = {"a": Share(frozenset({0, 1})), "b": Share(frozenset({0, 1}))}
    found = shared_out(claimed, 2, 1)
    assert sorted(map(sorted, (found["a"].owned, found["b"].owned))) == [[0], [1]]
