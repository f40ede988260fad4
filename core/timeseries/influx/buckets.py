"""A bucket per resolution with its retention, made at the start when the token may."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from core.timeseries.store import Level, StoreDenied, StoreUnavailable

_MAY_NOT = (401, 403, 404)

_log = structlog.get_logger(__name__)


def ensure(client: InfluxDBClient, org: str, names: Mapping[Level, str], retention: Mapping[Level, int]) -> None:
    """`retention` in seconds, 0 for ever. A bucket that is there stays as it is, its retention is the operator's.

    Raises StoreDenied when one is missing and the token may not make it, StoreUnavailable.
    """
    api = client.buckets_api()
    for level, name in names.items():
        try:
            found = api.find_bucket_by_name(name)
            if found is None:
                rules = BucketRetentionRules(type="expire", every_seconds=retention[level])
                api.create_bucket(bucket_name=name, retention_rules=[rules], org=org)
                _log.info("bucket_made", bucket=name, retention=retention[level])
                continue
            kept = min((rule.every_seconds for rule in found.retention_rules), default=0)
            if 0 < kept < retention[level]:
                _log.warning("bucket_keeps_less", bucket=name, retention=kept, wanted=retention[level])
        except ApiException as problem:
            reason = f"influxdb: bucket {name} of {org}: HTTP {problem.status}: {problem.reason}"
            if problem.status in _MAY_NOT:
                hint = "make the bucket, or use a token that may read and write buckets of this organisation"
                raise StoreDenied(f"{reason}; {hint}") from problem
            raise StoreUnavailable(reason) from problem
        except HTTPError as problem:
            raise StoreUnavailable(f"influxdb: {problem}") from problem
