"""A setting that names no store is refused with what is allowed, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.clock import SystemClock
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.opening import is_served, open_store

_CLUSTER = "victoria+http://insert:8480/insert/0?read=http://select:8481/select/0"


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("influxdb", "allowed: embedded, influxdb"),
        ("http://host:8086", "names no store"),
        ("influxdb+ftp://host:8086?org=o", "names no store"),
        ("prometheus+http://host:9090", "names no store"),
        ("influxdb+http://host:8086", r"\?org=ORGANISATION"),
        ("influxdb+http://host:8086?org=", r"\?org=ORGANISATION"),
        ("influxdb+http://host:8086?org=o&bucket=b", "unknown bucket; allowed: org, prefix"),
        ("influxdb+http://me:secret@host:8086?org=o", "no user or password"),
        ("influxdb+http://host:8086?org=o&prefix=a,b", "prefix is 'a,b'; allowed: letters"),
        ("influxdb+http:///path?org=o", "no URL of a server"),
        ("victoria+http://host:8428?org=o", "unknown org; allowed: long, nodes, prefix, read, settle"),
        ("victoria+http://host:8428?long=host2:8428", "'host2:8428' is no URL"),
        ("victoria+http://host:8428?nodes=http://node:8482", "needs read=URL"),
        (_CLUSTER, "needs nodes=URL"),
        (f"{_CLUSTER}&settle=soon", "settle is 'soon'; allowed: seconds from 0 to 60"),
        (f"{_CLUSTER}&settle=-1", "settle is '-1'"),
        (f"{_CLUSTER}&nodes=node:8482", "'node:8482' is no URL"),
        ("victoria+http://insert:8480/insert/0?read=select:8481&settle=2", "'select:8481' is no URL"),
    ],
)
def test_a_setting_that_names_no_store_is_refused(store: str, said: str, tmp_path: Path) -> None:
    settings = Settings(store=store, store_token="secret")
    with pytest.raises(ValueError, match=said) as refused:
        open_store(settings, tmp_path, SystemClock())
    assert "secret" not in str(refused.value)


def test_influxdb_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store_token"):
        open_store(Settings(store="influxdb+http://host:8086?org=o"), tmp_path, SystemClock())


def test_the_embedded_store_is_the_default(tmp_path: Path) -> None:
    store = open_store(Settings(), tmp_path, SystemClock())
    assert isinstance(store, EmbeddedStore)
    assert not is_served(Settings())
    store.close()
