"""A bucket per resolution with its retention, made at the start when the token may.

A token that may only read and write the buckets is enough once they are there. A bucket that keeps its points for less
time than it should is made to keep them longer, when the token may; one that keeps them longer stays as it is, because
to shorten it would delete at once what somebody may want.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.patch_bucket_request import PatchBucketRequest
from influxdb_client.domain.post_bucket_request import PostBucketRequest
from influxdb_client.rest import ApiException
from influxdb_client.service.buckets_service import BucketsService
from influxdb_client.service.organizations_service import OrganizationsService
from urllib3.exceptions import HTTPError

from core.timeseries.metrics import RETENTION_MISSING
from core.timeseries.store import Level, StoreDenied, StoreUnavailable

_STORE = "influxdb"
_MAY_NOT = (401, 403, 404)
_BUSY = 429
_FAILED = 500

_log = structlog.get_logger(__name__)


def ensure(client: InfluxDBClient, org: str, names: Mapping[Level, str], retention: Mapping[Level, int]) -> None:
    """`retention` in seconds, 0 for ever.

    Raises StoreDenied when one is missing and the token may not make it, or what answers is no InfluxDB;
    StoreUnavailable.
    """
    buckets = BucketsService(client.api_client)
    for level, name in names.items():
        wanted = retention[level]
        try:
            if found := _found(buckets, name, org):
                RETENTION_MISSING.labels(_STORE, level).set(_missing(buckets, found, wanted))
                continue
            buckets.post_buckets(PostBucketRequest(_org_id(client, org), name, retention_rules=[_rule(wanted)]))
        except ApiException as problem:
            raise _refused(name, org, problem) from problem
        except (HTTPError, OSError) as problem:
            raise StoreUnavailable(f"{_STORE}: {problem}") from problem
        except (ValueError, AttributeError, TypeError) as problem:
            raise StoreDenied(f"{_STORE}: what answers at {client.url} is no InfluxDB 2") from problem
        _log.info("bucket_made", bucket=name, retention=wanted)


def _found(buckets: BucketsService, name: str, org: str) -> Bucket | None:
    try:
        found = buckets.get_buckets(name=name, org=org).buckets
    except ApiException as problem:
        if problem.status == 404:
            return None
        raise
    return found[0] if found else None


def _org_id(client: InfluxDBClient, org: str) -> str:
    """A token that may not see the organisation finds none."""
    found = OrganizationsService(client.api_client).get_orgs(org=org).orgs
    if not found:
        raise ApiException(status=404, reason="the organisation does not exist, or the token may not see it")
    return str(found[0].id)


def _missing(buckets: BucketsService, bucket: Bucket, wanted: int) -> float:
    """Seconds by which the bucket keeps its points too short, after an attempt to correct that."""
    kept = min((rule.every_seconds for rule in bucket.retention_rules), default=0)
    if kept == 0 or 0 < wanted <= kept:
        return 0.0
    try:
        buckets.patch_buckets_id(bucket.id, PatchBucketRequest(retention_rules=[_rule(wanted)]))
    except ApiException as problem:
        if problem.status not in _MAY_NOT:
            raise
        _log.warning("bucket_keeps_less", bucket=bucket.name, retention=kept, wanted=wanted, reason=problem.reason)
        return float(wanted - kept) if wanted else float("inf")
    _log.info("bucket_keeps_longer", bucket=bucket.name, retention=wanted, before=kept)
    return 0.0


def _rule(seconds: int) -> BucketRetentionRules:
    return BucketRetentionRules(type="expire", every_seconds=seconds)


def _refused(name: str, org: str, problem: ApiException) -> StoreUnavailable:
    reason = f"{_STORE}: bucket {name} of {org}: HTTP {problem.status}: {problem.reason}"
    if problem.status == _BUSY or not problem.status or problem.status >= _FAILED:
        return StoreUnavailable(reason)
    hint = "make the bucket, or use a token that may read and write buckets of this organisation"
    return StoreDenied(f"{reason}; {hint}")
