"""Where the list of targets comes from, and what changed in it.

The worst moment is a reload: whoever forgets what he knew about an unchanged target loses one interval of every rate
and moves its slot. So targets are compared by id, and only what changed is touched (`changes`). A source that fails
keeps the list that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import orjson

from core.errors import Invalid
from core.hosts.targets import Target, from_file_sd


class SourceUnavailable(Exception):
    """The list cannot be had now; the one already known stays in force."""


class TargetSource(Protocol):
    def targets(self) -> tuple[Target, ...]:
        """The whole list. May block; called in a worker thread. Raises SourceUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class InventorySource:
    """In-process: `read` is a `TargetReader` bound to a session by the composer. It wraps what it fails with in
    SourceUnavailable."""

    read: Callable[[], tuple[Target, ...]]

    def targets(self) -> tuple[Target, ...]:
        return self.read()


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of Prometheus's `file_sd`, in JSON."""

    path: Path

    def targets(self) -> tuple[Target, ...]:
        try:
            return _read(self.path.read_bytes())
        except OSError as error:
            raise SourceUnavailable(f"{self.path}: {error.strerror}") from error
        except Invalid as error:
            raise SourceUnavailable(f"{self.path}: {error}") from error


@dataclass(frozen=True, slots=True)
class HttpSource:
    """The same document over HTTP (Prometheus's `http_sd`). `headers`: what the service wants to be asked with."""

    url: str
    timeout: float = 5.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def targets(self) -> tuple[Target, ...]:
        try:
            asked = {"Accept": "application/json", **self.headers}
            answer = httpx.get(self.url, timeout=self.timeout, headers=asked, trust_env=False)
            return _read(answer.raise_for_status().content)
        except (httpx.HTTPError, Invalid) as error:
            raise SourceUnavailable(f"{self.url}: {error}") from error


def _read(document: bytes) -> tuple[Target, ...]:
    try:
        return from_file_sd(orjson.loads(document))
    except orjson.JSONDecodeError as error:
        raise Invalid("targets", f"not JSON: {error}", "a list of groups {targets, labels}") from error


@dataclass(frozen=True, slots=True)
class Changes:
    """`moved`: another URL or exporter, so that connection and layout are new. `relabelled`: only its VMs are
    others."""

    added: tuple[Target, ...]
    moved: tuple[Target, ...]
    relabelled: tuple[Target, ...]
    removed: tuple[str, ...]


def changes(known: Mapping[str, Target], wanted: Iterable[Target]) -> Changes:
    """From the known targets (by id) to the wanted ones. Unchanged targets are not in it."""
    new = {target.id: target for target in wanted}
    both = [(known[key], target) for key, target in new.items() if key in known and known[key] != target]
    moved = tuple(now for was, now in both if (was.url, was.exporter) != (now.url, now.exporter))
    return Changes(
        added=tuple(target for key, target in new.items() if key not in known),
        moved=moved,
        relabelled=tuple(now for _, now in both if now not in moved),
        removed=tuple(key for key in known if key not in new),
    )
