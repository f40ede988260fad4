"""Where a VM goes, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.compute.placement import Candidate, Choice, Obstacle, Room, Wish, choose, shortage

SIZE = Room(vcpus=32, memory_mb=65_536, storage_gb=1000)
HOST = Candidate(host_id="h1", size=SIZE, left=SIZE)
WISH = Wish(vcpus=4, memory_mb=8192, storage_gb=40)

rooms = st.builds(
    Room,
    vcpus=st.integers(-8, 64),
    memory_mb=st.integers(-1000, 65_536),
    storage_gb=st.one_of(st.none(), st.integers(-10, 1000)),
)
hosts = st.lists(
    st.builds(
        Candidate,
        host_id=st.sampled_from([f"h{n}" for n in range(8)]),
        size=st.just(SIZE),
        left=rooms,
        obstacle=st.one_of(st.none(), st.none(), st.sampled_from(Obstacle)),
        tenants=st.dictionaries(st.sampled_from(["t1", "t2"]), st.integers(1, 5)),
    ),
    unique_by=lambda host: host.host_id,
)
wishes = st.builds(Wish, vcpus=st.integers(1, 64), memory_mb=st.integers(1, 65_536), storage_gb=st.integers(0, 1000))


def place(*candidates: Candidate) -> Choice:
    return choose(WISH, "t1", candidates)


def test_a_tenants_vms_are_spread_whatever_is_left() -> None:
    full = replace(HOST, host_id="h2", left=Room(vcpus=4, memory_mb=8192, storage_gb=40))
    assert place(replace(HOST, tenants={"t1": 1}), full).host_id == "h2"
    assert place(replace(HOST, tenants={"t2": 9}), full).host_id == "h1"


@pytest.mark.parametrize("scarce", [{"vcpus": 8}, {"memory_mb": 9000}, {"storage_gb": 50}])
def test_the_host_that_is_least_full_comes_first(scarce: dict[str, int]) -> None:
    assert place(replace(HOST, left=replace(SIZE, **scarce)), replace(HOST, host_id="h2")).host_id == "h2"


@pytest.mark.parametrize("obstacle", Obstacle)
def test_a_host_that_takes_no_vms_says_why(obstacle: Obstacle) -> None:
    assert place(replace(HOST, obstacle=obstacle)) == Choice(None, {"h1": str(obstacle)})


def test_everything_that_is_short_is_said() -> None:
    assert shortage(WISH, Room(vcpus=2.5, memory_mb=-5, storage_gb=39)) == (
        "4 vCPUs wanted, 2 left, 8192 MB of memory wanted, 0 left, 40 GB of storage wanted, 39 left"
    )
    assert shortage(WISH, Room(vcpus=4, memory_mb=8192, storage_gb=None)) is None


@given(wishes, hosts)
def test_the_chosen_host_fits_and_every_other_one_fits_too_or_has_its_reason(
    wish: Wish, found: Sequence[Candidate]
) -> None:
    choice = choose(wish, "t1", found)
    by_id = {host.host_id: host for host in found}
    fitting = {id_ for id_, host in by_id.items() if host.obstacle is None and shortage(wish, host.left) is None}
    assert set(choice.refusals) == by_id.keys() - fitting
    assert (choice.host_id in fitting) if fitting else choice.host_id is None
    fewest = min((by_id[id_].tenants.get("t1", 0) for id_ in fitting), default=0)
    assert choice.host_id is None or by_id[choice.host_id].tenants.get("t1", 0) == fewest
    assert choose(wish, "t1", found[::-1]) == choice, "the order does not matter"
