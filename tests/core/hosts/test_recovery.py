"""Where the VMs of a dead host go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.compute.placement import Candidate, Room
from core.compute.rows import VmLock, VmState
from core.hosts.recovery import Guest, plan

GUEST = Guest("v1", "t1", 2, 4096, VmState.RUNNING, VmLock.NONE, ha_enabled=True)


def shelter(id_: str, vcpus: float, memory_mb: int, tenants: Mapping[str, int] | None = None) -> Candidate:
    """With so much left of 64 vCPUs and 99,999 MB."""
    room = Room(vcpus=64, memory_mb=99_999, storage_gb=None)
    left = Room(vcpus=vcpus, memory_mb=memory_mb, storage_gb=None)
    return Candidate(host_id=id_, size=room, left=left, tenants=tenants or {})


def test_the_vms_of_a_tenant_are_spread() -> None:
    guests = [replace(GUEST, id=f"v{n}") for n in range(4)]
    homes = plan(
        guests, [shelter("a", 64, 99_999), shelter("b", 64, 50_000, {"t1": 2}), shelter("c", 64, 50_000)]
    ).homes
    assert sorted(homes.values()) == ["a", "a", "c", "c"]


def test_the_largest_go_first_so_that_they_find_room() -> None:
    large = replace(GUEST, id="large", memory_mb=8192)
    small = [replace(GUEST, id=f"s{n}", memory_mb=1024) for n in range(3)]
    result = plan([*small, large], [shelter("a", 64, 8192), shelter("b", 64, 3072)])
    assert result.homes == {"large": "a", "s0": "b", "s1": "b", "s2": "b"}
    assert result.left == {}


def test_who_stays_and_why() -> None:
    guests = [
        replace(GUEST, id="asleep", state=VmState.SUSPENDED),
        replace(GUEST, id="locked", lock=VmLock.MIGRATING_HOST),
        replace(GUEST, id="plain", ha_enabled=False),
        replace(GUEST, id="huge", vcpus=99),
    ]
    assert plan(guests, [shelter("a", 8, 9000)]).left == {
        "asleep": "it was not running: suspended",
        "locked": "it is locked: migrating_host",
        "plain": "high availability is not enabled for it",
        "huge": "no host can take it: a: 99 vCPUs wanted, 8 left",
    }


def test_without_hosts_nobody_moves() -> None:
    result = plan([GUEST], [])
    assert result.left == {"v1": "no host can take it: there is none"}


guests = st.lists(
    st.builds(
        Guest,
        id=st.uuids().map(str),
        tenant_id=st.sampled_from(["t1", "t2"]),
        vcpus=st.integers(1, 16),
        memory_mb=st.integers(256, 32_768),
        state=st.sampled_from(VmState),
        lock=st.sampled_from(VmLock),
        ha_enabled=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda guest: guest.id,
)
shelters = st.lists(
    st.builds(shelter, id_=st.sampled_from("abcdef"), vcpus=st.integers(0, 64), memory_mb=st.integers(-1000, 65_536)),
    unique_by=lambda one: one.host_id,
)


@given(guests, shelters)
def test_every_vm_has_one_home_or_one_reason_and_no_host_is_overfilled(
    wanted: list[Guest], room: list[Candidate]
) -> None:
    result = plan(wanted, room)
    assert result.homes.keys() | result.left.keys() == {guest.id for guest in wanted}
    assert not result.homes.keys() & result.left.keys()
    for one in room:
        inside = [guest for guest in wanted if result.homes.get(guest.id) == one.host_id]
        assert all(g.ha_enabled and g.lock is VmLock.NONE and g.state is VmState.RUNNING for g in inside)
        if inside:
            assert sum(guest.vcpus for guest in inside) <= one.left.vcpus
            assert sum(guest.memory_mb for guest in inside) <= one.left.memory_mb
    assert plan(list(reversed(wanted)), room) == result
