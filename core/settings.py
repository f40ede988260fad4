"""Every setting of the product: one line each, with its type, default, limits and meaning.

This is the only list. The edge (`api.settings`) reads it from the environment (`STARVC_` + the name in capitals), from
a `.env` file and from a TOML file; `starvc config` prints it; `docs/settings.md` is checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le


def _setting(default: Any, meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str = _setting("127.0.0.1", "address the API listens on")
    port: Annotated[int, Ge(0), Le(65535)] = _setting(18081, "port of the API; 0 picks a free one")
    trusted_proxies: str = _setting(
        "", "addresses and networks, with commas between, whose X-Forwarded-For and -Proto are believed; none: nobody's"
    )
    request_rate: Annotated[float, Ge(0)] = _setting(
        200.0, "requests a second that a token may make, a minute's worth at once, in one process; 0: any number"
    )
    data_dir: Path = _setting(Path("data"), "folder of the databases, the platform token and the keys")
    database_url: str | None = _setting(None, "SQLAlchemy URL of the state; default: SQLite in data_dir", secret=True)
    store: str = _setting(
        "embedded", "time series: embedded, influxdb+http://HOST:8086?org=ORG or victoria+http://HOST:8428"
    )
    store_token: str | None = _setting(None, "token of the time-series server", secret=True)
    queue_limit_mb: Annotated[int, Ge(1)] = _setting(
        2048, "MB on disk of the samples that wait for a time-series server, at most; the oldest go first"
    )
    lease_seconds: Annotated[float, Ge(1), Le(600)] = _setting(
        15.0, "seconds after which another aggregator takes over from a silent one"
    )
    platform_token: str | None = _setting(None, "platform token to use instead of a generated one", secret=True)
    quota_cpu: Annotated[int, Ge(0)] = _setting(0, "CPU cores of a new tenant whose quota is not given")
    quota_memory_mb: Annotated[int, Ge(0)] = _setting(0, "MB of memory of a new tenant whose quota is not given")
    quota_storage_gb: Annotated[int, Ge(0)] = _setting(0, "GB of storage of a new tenant whose quota is not given")
    quota_subnets: Annotated[int, Ge(0)] = _setting(0, "subnets of a new tenant whose quota is not given")
    quota_outer_ips: Annotated[int, Ge(0)] = _setting(0, "outer IPs of a new tenant whose quota is not given")
    quota_object_storage_gb: Annotated[int, Ge(0)] = _setting(
        0, "GB of object storage that every tenant is told to have; this product gives none"
    )
    token_key: str | None = _setting(
        None, "key under which tokens are hashed, 32 bytes in Base64; default: a file in data_dir", secret=True
    )
    sealing_keys: str | None = _setting(
        None, "keys that seal passwords in the database, Base64, newest first; default: a file in data_dir", secret=True
    )
    cpu_overcommit: Annotated[float, Ge(1), Le(64)] = _setting(2.0, "virtual CPUs per core that hosts take, at most")

    vm_system_disk_gb: Annotated[int, Ge(1), Le(65536)] = _setting(40, "GB of the system disk of a VM made by a model")
    console_seconds: Annotated[float, Gt(0), Le(3600)] = _setting(
        60.0, "seconds that the address of a console may be opened in, once"
    )
    console_idle_seconds: Annotated[float, Gt(0)] = _setting(
        1800.0, "seconds after which a console is closed in which nothing is shown and nobody does anything"
    )
    console_limit: Annotated[int, Ge(0)] = _setting(100, "consoles that are open at once, in one process")
    vpc_supernet: str = _setting("172.16.0.0/12", "IPv4 network whose /24 blocks become private networks")

    task_workers: Annotated[int, Ge(1), Le(256)] = _setting(4, "tasks under way at once, in one process")
    tasks_after_restart: Literal["lose", "resume"] = _setting(
        "lose", "what becomes of tasks that were queued when their server stopped: lose or resume"
    )
    task_heartbeat: Annotated[float, Ge(0.1), Le(60)] = _setting(
        2.0, "seconds between two signs of life of a server, and between two looks at dead servers' tasks"
    )
    task_server_timeout: Annotated[float, Ge(1)] = _setting(
        30.0, "seconds without a sign of life until a server on another machine counts as dead"
    )
    task_retention: Annotated[float, Ge(30)] = _setting(90.0, "days that ended tasks are kept")

    timezone: str | None = _setting(None, "IANA zone of all times on the wire and of day lines; default: the server's")
    page_numbers: bool = _setting(False, "read the start of a page as a page number in every search, not as a row")

    scrape_interval: Annotated[float, Ge(0.2), Le(3600)] = _setting(10.0, "seconds between two scrapes of a target")
    scrape_timeout: Annotated[float, Gt(0)] = _setting(
        5.0, "seconds until a scrape fails; never more than the interval"
    )
    scrape_concurrency: Annotated[int, Ge(1), Le(1000)] = _setting(100, "scrapes under way at once, in one process")
    scrape_body_limit: Annotated[int, Ge(1024)] = _setting(16 * 1024 * 1024, "bytes of an exporter page, unpacked")
    scrape_series_limit: Annotated[int, Ge(1)] = _setting(200_000, "series of an exporter page")

    raw_retention: Annotated[float, Ge(1)] = _setting(6.0, "hours that raw samples are kept")
    minute_retention: Annotated[float, Ge(1)] = _setting(7.0, "days that minute lines are kept")
    hour_retention: Annotated[float, Ge(1)] = _setting(180.0, "days that hour lines are kept")
    day_retention: Annotated[float, Ge(1)] = _setting(3650.0, "days that day lines are kept")
    late_horizon: Annotated[float, Ge(60)] = _setting(
        3600.0, "seconds that a sample may be late and still enter its lines"
    )

    rules_file: Path | None = _setting(None, "YAML file of alarm rules instead of the shipped ones")
    notify_file: Path | None = _setting(None, "YAML file of notification receivers and routes; none: nobody is told")
    alarm_retention: Annotated[float, Ge(1)] = _setting(
        365.0, "days that relieved alarms, their history and the events of hosts are kept"
    )

    audit_retention: Annotated[float, Ge(1)] = _setting(365.0, "days that entries of the audit log are kept")

    sim_hosts: Annotated[int, Ge(0), Le(10_000)] = _setting(4, "hosts of the simulated data centre; 0 turns it off")
    sim_vms: Annotated[int, Ge(0), Le(200_000)] = _setting(24, "VMs of the simulated data centre")
    sim_dir: Path | None = _setting(
        None, "folder of a simulated data centre that `starvc sim serve` serves, to take part in it; default: one's own"
    )
    sim_address: str = _setting("127.0.0.1", "address that the pages of one's own simulated hosts are served at")
    sim_task_seconds: Annotated[float, Ge(0), Le(600)] = _setting(
        3.0, "seconds that opening a simulated VM takes, other operations in proportion; 0: no time"
    )
    sim_seed: int = _setting(1, "the same seed gives the same simulated data centre")
    agent: bool = _setting(True, "watch this machine as a real host")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_json: bool = _setting(False, "log JSON lines instead of text for people")
