"""Asking suspected hosts directly: an HTTP request to each of their pages, all hosts at once, bounded in time and
number.

The request goes beyond the TCP handshake on purpose: a kernel accepts connections for a program that hangs. A page
that hangs beside one that answers is a sick exporter, not a sick host. Pages speak for themselves here: any HTTP
status is a sign of life, and certificates are not verified, since nothing is sent and nothing is believed but the
existence of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from core.hosts.state import Probe

_AT_ONCE: Final = 256
_BEST_FIRST: Final = (Probe.ANSWERS, Probe.ACCEPTS, Probe.REFUSED, Probe.SILENT)


def probe(pages: Mapping[str, Collection[str]], timeout: float) -> dict[str, Probe]:
    """The best answer of each host. `pages` are URLs by host id; `timeout` in seconds per page; a host without pages
    is SILENT.

    Blocks for about ceil(pages / 256) time-outs at most. Not to be called from a running event loop.
    """
    return asyncio.run(_probe_all(pages, timeout))


async def _probe_all(pages: Mapping[str, Collection[str]], patience: float) -> dict[str, Probe]:
    gate = asyncio.Semaphore(_AT_ONCE)
    asked = [(host_id, url) for host_id, urls in pages.items() for url in urls]
    answers = await asyncio.gather(*(_probe_page(url, patience, gate) for _, url in asked))
    best = dict.fromkeys(pages, Probe.SILENT)
    for (host_id, _), answer in zip(asked, answers, strict=True):
        best[host_id] = min(best[host_id], answer, key=_BEST_FIRST.index)
    return best


async def _probe_page(url: str, patience: float, gate: asyncio.Semaphore) -> Probe:
    accepted = asyncio.Event()
    async with gate:
        try:
            async with asyncio.timeout(patience):
                return await _request(url, accepted)
        except ConnectionRefusedError:
            return Probe.REFUSED
        except ssl.SSLError:
            return Probe.ACCEPTS
        except (OSError, ValueError):
            return Probe.ACCEPTS if accepted.is_set() else Probe.SILENT


async def _request(url: str, accepted: asyncio.Event) -> Probe:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port)
    accepted.set()
    try:
        if secure:
            await writer.start_tls(_unverified(), server_hostname=parts.hostname)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(
            f"HEAD {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode("ascii", "ignore")
        )
        await writer.drain()
        return Probe.ANSWERS if (await reader.read(5)).startswith(b"HTTP") else Probe.ACCEPTS
    finally:
        writer.transport.abort()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
