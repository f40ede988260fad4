"""The store that a setting names.

    embedded                                                   files in the data folder, no server
    influxdb+http://HOST:8086?org=ORG                          InfluxDB 2.x; the token stands in its own setting
    victoria+http://HOST:8428                                  VictoriaMetrics, single node
    victoria+http://VMINSERT:8480/insert/0?read=http://VMSELECT:8481/select/0&nodes=http://VMSTORAGE1:8482,...
                                                               its cluster
    ...?long=http://HOST:8428                                  hour and day lines on a node of their own

Both take `prefix=NAME` (of buckets, of series) where several installations share a server, and https for http.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from core.clock import Clock
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.served import ServedStore
from core.timeseries.served.levels import LONG, ByLevel
from core.timeseries.store import Level, TimeSeriesStore

EMBEDDED: Final = "embedded"
_FORMS: Final = "embedded, influxdb+http://HOST:8086?org=ORG or victoria+http://HOST:8428"
_DAY: Final = 86_400
_LATE: Final = 26 * 3600
"""Windows that are not final are kept with the raw samples: those of a day are up to 25 hours old."""
_PASSED_ON: Final = 0.2
_LONGEST_SETTLE: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_served(settings: Settings) -> bool:
    """By a server that several processes reach."""
    return settings.store != EMBEDDED


def open_store(settings: Settings, folder: Path, clock: Clock, *, writable: bool = True) -> TimeSeriesStore:
    """`folder`: of the embedded store, which has one writer. ValueError for a setting that names no store,
    StoreUnavailable."""
    if settings.store == EMBEDDED:
        return EmbeddedStore(folder, writable=writable)
    kind, _, scheme = urlsplit(settings.store).scheme.partition("+")
    if scheme not in ("http", "https") or kind not in ("influxdb", "victoria"):
        raise ValueError(f"store: {settings.store!r} names no store; allowed: {_FORMS}")
    url, options = _parts(settings.store.removeprefix(f"{kind}+"))
    return _influx(url, options, settings, clock) if kind == "influxdb" else _victoria(url, options, settings, clock)


def _parts(text: str) -> tuple[str, dict[str, str]]:
    return _base(text), dict(parse_qsl(urlsplit(text).query, keep_blank_values=True))


def _base(text: str) -> str:
    """The URL of a server without its options and its last slash."""
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError(f"store: {text!r} is no URL of a server; allowed: http://HOST:PORT or https://HOST:PORT")
    if found.username or found.password:
        raise ValueError("store: needs a host, and no user or password: the token has its own setting, store_token")
    return f"{found.scheme}://{found.netloc}{found.path.rstrip('/')}"


def _influx(url: str, options: dict[str, str], settings: Settings, clock: Clock) -> TimeSeriesStore:
    """The client library is loaded only where it is used: it takes 0.4 s."""
    from core.timeseries.influx.engine import Influx, Place

    _known(options, {"org", "prefix"})
    if not options.get("org") or not settings.store_token:
        raise ValueError("store: InfluxDB needs ?org=ORGANISATION in store, and store_token")
    place = Place(url, options["org"], settings.store_token, _prefix(options), _retention(settings))
    return ServedStore(Influx(place, clock), clock)


def _victoria(url: str, options: dict[str, str], settings: Settings, clock: Clock) -> TimeSeriesStore:
    from core.timeseries.victoria.engine import Place, Victoria

    _known(options, {"read", "nodes", "settle", "prefix", "long"})
    read = _base(options["read"]) if "read" in options else url
    nodes = tuple(_base(node) for node in options["nodes"].split(",")) if "nodes" in options else None
    if "read" not in options and (nodes is not None or "settle" in options):
        raise ValueError("store: nodes and settle are of a VictoriaMetrics cluster, which needs read=URL too")
    if "read" in options and nodes is None and "settle" not in options:
        raise ValueError(
            "store: a VictoriaMetrics cluster needs nodes=URL,... of its vmstorage nodes, or settle=SECONDS after "
            "which it mostly shows what it took"
        )
    if "read" in options and nodes is None:
        nodes = ()
    kept, prefix, token = _retention(settings), _prefix(options), settings.store_token
    place = Place(url, read, prefix, token, nodes, _settle(options), kept)
    if "long" not in options:
        return ServedStore(Victoria(place, clock), clock)
    second = _base(options["long"])
    with ExitStack() as opening:
        short = Victoria(replace(place, retention={level: kept[level] for level in kept.keys() - LONG}), clock)
        opening.callback(short.close)
        long = Victoria(Place(second, second, prefix, token, retention={level: kept[level] for level in LONG}), clock)
        opening.pop_all()
    return ServedStore(ByLevel(short, long), clock)


def _settle(options: dict[str, str]) -> float:
    """Of a cluster without the option: what its vminsert needs to pass on what it took, when nothing is in its way."""
    text = options.get("settle", str(_PASSED_ON) if "read" in options else "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_SETTLE:
        raise ValueError(f"store: settle is {text!r}; allowed: seconds from 0 to {_LONGEST_SETTLE:.0f}")
    return seconds


def _prefix(options: dict[str, str]) -> str:
    prefix = options.get("prefix", "starvc")
    if not _NAME.fullmatch(prefix):
        raise ValueError(f"store: prefix is {prefix!r}; allowed: letters, digits and _, a letter first")
    return prefix


def _retention(settings: Settings) -> dict[Level, int]:
    """Seconds that a server has to keep the points of each level."""
    return {
        Level.RAW: int(settings.raw_retention * 3600) + _LATE,
        Level.MINUTE: int((settings.minute_retention + 1) * _DAY),
        Level.HOUR: int((settings.hour_retention + 1) * _DAY),
        Level.DAY: int((settings.day_retention + 2) * _DAY),
    }


def _known(options: dict[str, str], allowed: set[str]) -> None:
    if unknown := sorted(options.keys() - allowed):
        raise ValueError(f"store: unknown {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")
