"""Shards: every target has its owners, and a change of their number moves only the new one's share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.shards import Shard, ShardSource
from core.errors import Invalid
from core.hosts.targets import Exporter, Target

KEYS = [f"host-{number:04}" for number in range(2000)]
COUNTS = st.integers(1, 9)


def owners(key: str, count: int, replicas: int = 1) -> set[int]:
    return {index for index in range(1, count + 1) if Shard(index, count, replicas).owns(key)}


@given(st.text(), COUNTS, st.data())
def test_every_target_has_as_many_owners_as_replicas(key: str, count: int, data: st.DataObject) -> None:
    replicas = data.draw(st.integers(1, count))
    assert len(owners(key, count, replicas)) == replicas


@given(st.text(), COUNTS)
def test_one_shard_more_takes_targets_and_moves_none_between_others(key: str, count: int) -> None:
    assert owners(key, count + 1) in ({count + 1}, owners(key, count))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shares_are_even_and_a_new_shard_takes_its_share_only(count: int) -> None:
    before = {key: owners(key, count) for key in KEYS}
    after = {key: owners(key, count + 1) for key in KEYS}
    for index in range(1, count + 1):
        assert sum(index in found for found in before.values()) == pytest.approx(len(KEYS) / count, rel=0.2)
    moved = sum(before[key] != after[key] for key in KEYS)
    assert moved == pytest.approx(len(KEYS) / (count + 1), rel=0.2)


def test_the_pages_of_a_host_stay_together() -> None:
    targets = tuple(
        Target(f"{key}/{exporter}", key, exporter, f"http://{key}/") for key in KEYS[:100] for exporter in Exporter
    )

    class Source:
        def targets(self) -> tuple[Target, ...]:
            return targets

    parts = [ShardSource(Source(), Shard(index, 3)).targets() for index in (1, 2, 3)]
    assert sorted(target.id for part in parts for target in part) == sorted(target.id for target in targets)
    hosts = [{target.host_id for target in part} for part in parts]
    assert not hosts[0] & hosts[1]
    assert all(len(part) == 2 * len(of) for part, of in zip(parts, hosts, strict=True))


def test_it_is_read_from_text() -> None:
    assert Shard.parse("2/3") == Shard(2, 3)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="shard"):
        Shard.parse(text)
