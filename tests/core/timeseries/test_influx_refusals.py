"""What a real InfluxDB refuses, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from collector.spool import MemorySpool
from collector.writing import Writer
from core.clock import SystemClock, VirtualClock
from core.metrics import REGISTRY
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.influx.engine import Influx, Place
from core.timeseries.opening import open_store
from core.timeseries.served import ServedStore
from core.timeseries.store import Level, StoreDenied, StoreUnavailable
from tests.contract.timeseries import frame, rows
from tests.support import real, stores
from tests.support.proxy import proxy
from tests.support.stores import Running

_HOUR = 3600
_RETENTION = dict.fromkeys(Level, _HOUR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.influx(tmp_path_factory.mktemp("influx")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Token {stores.influx_token()}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    return Running.name()


def _place(server: Running, prefix: str, token: str | None = None) -> Place:
    return Place(server.url, stores.ORG, token or stores.influx_token(), prefix, _RETENTION)


def _org(admin: httpx.Client) -> str:
    return str(admin.get("/api/v2/orgs", params={"org": stores.ORG}).json()["orgs"][0]["id"])


def _bucket(admin: httpx.Client, name: str, seconds: int) -> str:
    rules = [{"type": "expire", "everySeconds": seconds}]
    made = admin.post("/api/v2/buckets", json={"orgID": _org(admin), "name": name, "retentionRules": rules})
    return str(made.raise_for_status().json()["id"])


def _kept(admin: httpx.Client, name: str) -> int:
    (bucket,) = admin.get("/api/v2/buckets", params={"name": name}).json()["buckets"]
    return int(bucket["retentionRules"][0]["everySeconds"])


def _token(admin: httpx.Client, buckets: Sequence[str], *actions: str) -> str:
    """That may do nothing but `actions` on the buckets."""
    org = _org(admin)
    permissions = [
        {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": org}}
        for bucket in buckets
        for action in actions
    ]
    made = admin.post("/api/v2/authorizations", json={"orgID": org, "permissions": permissions})
    return str(made.raise_for_status().json()["token"])


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _minute() -> float:
    return float(int(time.time()) // 60 * 60)


def test_a_wrong_token_refuses_the_start(server: Running, prefix: str) -> None:
    with pytest.raises(StoreDenied, match=r"401.*use a token that may"):
        Influx(_place(server, prefix, "wrong"))


def test_a_missing_organisation_refuses_the_start(server: Running, prefix: str) -> None:
    with pytest.raises(StoreDenied, match="404"):
        Influx(Place(server.url, "nobody", stores.influx_token(), prefix))


def test_missing_buckets_refuse_the_start_of_a_token_that_may_not_make_them(
    server: Running, admin: httpx.Client, prefix: str
) -> None:
    other = _bucket(admin, f"{prefix}_other", _HOUR)
    with pytest.raises(StoreDenied, match=rf"bucket {prefix}_raw of {stores.ORG}.*make the bucket"):
        Influx(_place(server, prefix, _token(admin, [other], "read", "write")))


def test_a_token_for_the_buckets_alone_is_enough_when_they_are_there(
    server: Running, admin: httpx.Client, prefix: str
) -> None:
    buckets = [_bucket(admin, f"{prefix}_{level}", _HOUR) for level in Level]
    store = ServedStore(Influx(_place(server, prefix, _token(admin, buckets, "read", "write"))))
    store.write([frame(Kind.VM, [("a", _minute(), 1.0)])])
    assert rows(store.latest(Kind.VM, 0)) == [("a", _minute(), 1.0)]
    store.close()


def test_a_token_that_may_only_read_is_denied_and_nothing_is_given_up(
    server: Running, admin: httpx.Client, prefix: str
) -> None:
    buckets = [_bucket(admin, f"{prefix}_{level}", _HOUR) for level in Level]
    store = ServedStore(Influx(_place(server, prefix, _token(admin, buckets, "read"))))
    with pytest.raises(StoreDenied, match="403"):
        store.write([frame(Kind.VM, [("a", _minute(), 1.0)])])
    store.close()


def test_a_bucket_that_keeps_less_is_made_to_keep_more_and_never_less(
    server: Running, admin: httpx.Client, prefix: str
) -> None:
    _bucket(admin, f"{prefix}_raw", 2 * _HOUR)
    _bucket(admin, f"{prefix}_minute", _HOUR)
    wanted = {**_RETENTION, Level.MINUTE: 3 * _HOUR}
    Influx(Place(server.url, stores.ORG, stores.influx_token(), prefix, wanted)).close()
    assert _kept(admin, f"{prefix}_raw") == 2 * _HOUR
    assert _kept(admin, f"{prefix}_minute") == 3 * _HOUR
    assert _metric("starvc_store_retention_missing_seconds", store="influxdb", level="minute") == 0


def test_a_bucket_that_may_not_be_changed_is_told_of(server: Running, admin: httpx.Client, prefix: str) -> None:
    buckets = [_bucket(admin, f"{prefix}_{level}", _HOUR) for level in Level]
    token = _token(admin, buckets, "read")
    Influx(Place(server.url, stores.ORG, token, prefix, {**_RETENTION, Level.DAY: 3 * _HOUR})).close()
    assert _kept(admin, f"{prefix}_day") == _HOUR
    assert _metric("starvc_store_retention_missing_seconds", store="influxdb", level="day") == 2 * _HOUR


def test_points_older_than_the_bucket_keeps_are_counted_and_hold_up_nothing(server: Running, prefix: str) -> None:
    store, now = ServedStore(Influx(_place(server, prefix))), _minute()
    before = _metric("starvc_store_too_old_points_total", store="influxdb")
    store.write([frame(Kind.VM, [("a", now - 2 * _HOUR, 1.0), ("b", now - 3 * _HOUR, 1.0), ("a", now, 2.0)])])
    assert rows(store.read(Kind.VM, 0, now + 1)) == [("a", now, 2.0)]
    assert _metric("starvc_store_too_old_points_total", store="influxdb") == before + 2
    store.write([frame(Kind.VM, [("b", now - 2 * _HOUR, 1.0)])])
    store.close()


def test_a_conflict_of_types_costs_the_samples_at_fault_and_no_others(
    server: Running, admin: httpx.Client, prefix: str
) -> None:
    """Somebody else has written whole numbers where the store writes floats."""
    store, now = ServedStore(Influx(_place(server, prefix))), _minute()
    params = {"org": stores.ORG, "bucket": f"{prefix}_raw", "precision": "s"}
    body = f"nic,obj=other,rev=0 down=1i {int(now)}"
    admin.post("/api/v2/write", params=params, content=body).raise_for_status()
    dropped = _metric("starvc_collector_dropped_points_total", reason="refused")
    writer = Writer(store, MemorySpool(1000), VirtualClock())
    writer.write((frame(Kind.VM, [("a", now, 1.0)]), frame(Kind.NIC, [("n1", now, 1.0), ("n2", now, 1.0)])))
    assert rows(store.read(Kind.VM, 0, now + 1)) == [("a", now, 1.0)]
    assert rows(store.read(Kind.NIC, 0, now + 1, ["n1", "n2"])) == []
    assert _metric("starvc_collector_dropped_points_total", reason="refused") == dropped + 2
    store.close()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_says(server: Running, prefix: str, status: int) -> None:
    waited: list[float] = []
    with proxy(server.url, "/api/v2/write") as front:
        place = Place(front.url, stores.ORG, stores.influx_token(), prefix, _RETENTION)
        store = ServedStore(Influx(place, pause=waited.append))
        front.answers = [(status, {"Retry-After": "3"}), (status, {})]
        store.write([frame(Kind.VM, [("a", _minute(), 1.0)])])
        assert waited == [3.0, 0.4]
        assert len(store.latest(Kind.VM, 0)) == 1
        front.answers = [(status, {"Retry-After": "3"})] * 3
        with pytest.raises(StoreUnavailable, match=str(status)):
            store.write([frame(Kind.VM, [("a", _minute() + 1, 1.0)])])
        store.write([frame(Kind.VM, [("a", _minute() + 1, 1.0)])])
        assert len(store.read(Kind.VM, 0, _minute() + 2)) == 2
        store.close()


def test_a_server_that_is_no_influxdb_refuses_the_start(tmp_path: Path) -> None:
    with stores.victoria(tmp_path) as other:
        settings = Settings(store=f"influxdb+{other.url}?org=starvc", store_token="any")
        with pytest.raises(StoreDenied, match="HTTP 400"):
            open_store(settings, tmp_path, SystemClock())


def test_nobody_there_refuses_the_start(tmp_path: Path) -> None:
    settings = Settings(store=f"influxdb+http://127.0.0.1:{real.free_port()}?org=starvc", store_token="any")
    with pytest.raises(StoreUnavailable, match="refused"):
        open_store(settings, tmp_path, SystemClock())
