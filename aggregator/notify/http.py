"""Posting to somebody else's server, with care: time limits, no redirects, a bounded answer, and no metadata
services.

The URL comes from the operator's own file, so private addresses are allowed; what is never meant is refused:
link-local addresses (where clouds keep credentials), multicast and unspecified ones, and other schemes than http and
https.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from aggregator.notify.port import Delivered, Failed, Outcome, Refused

TIMEOUT_SECONDS: Final = 8.0
_ANSWER_BYTES: Final = 4096
_PERMANENT: Final = frozenset({400, 410, 413, 415, 422})
"""The letter itself is refused. Everything else may be mended at the receiver: wrong tokens, missing paths,
redirects.
"""


def client(headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT_SECONDS) -> httpx.Client:
    return httpx.Client(
        headers=dict(headers or {}), timeout=timeout, follow_redirects=False, trust_env=False,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
    )  # fmt: skip


def post(with_client: httpx.Client, url: str, content: bytes, headers: Mapping[str, str]) -> Outcome:
    """One POST of JSON. 2xx is Delivered; what the letter is to blame for is Refused; everything else Failed."""
    problem = _forbidden(url)
    if problem is not None:
        return Failed(problem)
    asked = {"Content-Type": "application/json", **headers}
    try:
        with with_client.stream("POST", url, content=content, headers=asked) as answer:
            return _outcome(answer)
    except httpx.TimeoutException as error:
        return Failed(f"no answer in time ({type(error).__name__})")
    except httpx.HTTPError as error:
        return Failed(f"{type(error).__name__}: {error}")


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds from now, from either form of the header (RFC 9110, 10.2.3); None: absent or not understood."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _outcome(answer: httpx.Response) -> Outcome:
    if answer.is_success:
        return Delivered()
    said = b""
    for part in answer.iter_raw(_ANSWER_BYTES):
        said += part
        if len(said) >= _ANSWER_BYTES:
            break
    reason = f"HTTP {answer.status_code}: {said[:200].decode(errors='replace').strip()}"
    if answer.status_code in _PERMANENT:
        return Refused(reason)
    return Failed(reason, retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)))


def _forbidden(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    except OSError as error:
        return f"{parts.hostname} cannot be resolved: {error}"
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            return f"{parts.hostname} is {ip}, where no receiver can be"
    return None
