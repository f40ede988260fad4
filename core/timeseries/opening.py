"""The store that a setting names.

    embedded                                                   files in the data folder, no server
    influxdb+http://HOST:8086?org=ORG                          InfluxDB 2.x; the token stands in its own setting
    victoria+http://HOST:8428                                  VictoriaMetrics, single node
    victoria+http://VMINSERT:8480/insert/0?read=http://VMSELECT:8481/select/0&settle=2    its cluster

Both take `prefix=NAME` (of buckets, of series) where several installations share a server, and https for http.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from core.clock import Clock
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.served import ServedStore
from core.timeseries.store import Level, TimeSeriesStore

EMBEDDED: Final = "embedded"
_FORMS: Final = "embedded, influxdb+http://HOST:8086?org=ORG or victoria+http://HOST:8428"
_DAY: Final = 86_400
_LATE: Final = 26 * 3600
"""Windows that are not final are kept with the raw samples: those of a day are up to 25 hours old."""


def is_served(settings: Settings) -> bool:
    """By a server that several processes reach."""
    return settings.store != EMBEDDED


def open_store(settings: Settings, folder: Path, clock: Clock) -> TimeSeriesStore:
    """`folder`: of the embedded store. ValueError for a setting that names no store, StoreUnavailable."""
    if settings.store == EMBEDDED:
        return EmbeddedStore(folder)
    kind, _, scheme = urlsplit(settings.store).scheme.partition("+")
    if scheme not in ("http", "https") or kind not in ("influxdb", "victoria"):
        raise ValueError(f"store: {settings.store!r} names no store; allowed: {_FORMS}")
    url, options = _parts(settings.store.removeprefix(f"{kind}+"))
    return _influx(url, options, settings, clock) if kind == "influxdb" else _victoria(url, options, settings, clock)


def _parts(text: str) -> tuple[str, dict[str, str]]:
    found = urlsplit(text)
    if not found.hostname or found.username or found.password:
        raise ValueError("store: needs a host, and no user or password: the token has its own setting, store_token")
    return f"{found.scheme}://{found.netloc}{found.path.rstrip('/')}", dict(parse_qsl(found.query))


def _influx(url: str, options: dict[str, str], settings: Settings, clock: Clock) -> TimeSeriesStore:
    """The client library is loaded only where it is used: it takes 0.4 s."""
    from core.timeseries.influx.engine import Influx, Place

    _known(options, {"org", "prefix"})
    if "org" not in options or not settings.store_token:
        raise ValueError("store: InfluxDB needs ?org=ORGANISATION in store, and store_token")
    retention = {
        Level.RAW: int(settings.raw_retention * 3600) + _LATE,
        Level.MINUTE: int((settings.minute_retention + 1) * _DAY),
        Level.HOUR: int((settings.hour_retention + 1) * _DAY),
        Level.DAY: int((settings.day_retention + 2) * _DAY),
    }
    prefix = options.get("prefix", "starvc")
    place = Place(url, options["org"], settings.store_token, prefix, retention)
    return ServedStore(Influx(place, clock), clock)


def _victoria(url: str, options: dict[str, str], settings: Settings, clock: Clock) -> TimeSeriesStore:
    from core.timeseries.victoria.engine import Place, Victoria

    _known(options, {"read", "settle", "prefix"})
    settle = float(options["settle"]) if "settle" in options else None
    if "read" in options and settle is None:
        raise ValueError("store: a VictoriaMetrics cluster needs settle=SECONDS, after which it shows what it took")
    prefix = options.get("prefix", "starvc")
    place = Place(url, options.get("read", url).rstrip("/"), prefix, settings.store_token, settle)
    return ServedStore(Victoria(place, clock), clock)


def _known(options: dict[str, str], allowed: set[str]) -> None:
    if unknown := sorted(options.keys() - allowed):
        raise ValueError(f"store: unknown {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")
