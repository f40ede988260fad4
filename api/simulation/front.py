"""The pages of the simulated hosts on the wire: a thread with an event loop that serves them as the fleet is.

Changes of this process are on the wire when they are acknowledged (`follow`); those of other processes a moment later.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sqlite3
from collections.abc import Callable
from typing import Final

import structlog

from api.simulation.exporter import HOST_PATH, Exporter, Line, bind
from api.simulation.loop import LoopThread
from core.drivers.simulated.faults import HostCondition
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.pages import Pages
from core.drivers.simulated.shared import SharedFleet, Whereabouts

_FILES_PER_HOST: Final = 6
_LOOK_EVERY: Final = 0.1
"""Seconds until a change that another process made is on the wire, at most."""
_log = structlog.get_logger(__name__)


class Front:
    """Up when `start` returns, gone when `stop` does."""

    def __init__(self, shared: SharedFleet, address: str) -> None:
        self._shared = shared
        self._address = address
        self._pages: Pages | None = None
        self._exporters: list[Exporter] = []
        self._turning = asyncio.Lock()
        self._loop = LoopThread("simulation")

    def start(self) -> None:
        """Raises OSError when sockets cannot be had."""
        self._loop.start()
        self._loop.do(self._open())
        self._loop.repeat(_LOOK_EVERY, self._keep_up)

    def stop(self) -> None:
        self._loop.stop(self._close())

    def follow(self) -> None:
        """Every socket is as its host is when this returns."""
        self._loop.do(self._follow())

    # --- on the loop

    async def _open(self) -> None:
        hosts = self._shared.ask(lambda fleet, _: fleet.centre.hosts)
        _allow_files(len(hosts) * _FILES_PER_HOST)
        before = self._shared.whereabouts
        known = before.ports if before.address == self._address else {}
        for host in hosts:
            listener = _bind_if_free(self._address, known.get(host.id, 0))
            self._exporters.append(Exporter(listener, self._renderer(host.index)))
        ports = {host.id: exporter.port for host, exporter in zip(hosts, self._exporters, strict=True)}
        await self._follow()
        self._shared.serve(Whereabouts(self._address, ports))

    async def _close(self) -> None:
        for exporter in self._exporters:
            exporter.close()
        await asyncio.sleep(0)

    async def _keep_up(self) -> None:
        try:
            await self._follow()
        except (OSError, sqlite3.Error) as problem:
            _log.warning("simulation_not_followed", reason=str(problem))

    async def _follow(self) -> None:
        async with self._turning:
            conditions = self._shared.ask(lambda fleet, _: tuple(fleet.host_conditions))
            for exporter, condition in zip(self._exporters, conditions, strict=True):
                await exporter.turn(_line(condition))

    def _renderer(self, host: int) -> Callable[[str], bytes | None]:
        def render(path: str) -> bytes | None:
            return self._shared.ask(lambda fleet, at: self._render(fleet, host, path, at))

        return render

    def _render(self, fleet: Fleet, host: int, path: str, at: float) -> bytes | None:
        if self._pages is None or self._pages.fleet is not fleet:
            self._pages = Pages(fleet)
        if path != HOST_PATH:
            return self._pages.vm_page(host, at)
        return None if fleet.host_conditions[host].hung else self._pages.host_page(host, at)


def _line(condition: HostCondition) -> Line:
    if condition.crashed:
        return Line.CLOSED
    return Line.SILENT if condition.cut else Line.SERVING


def _bind_if_free(address: str, port: int) -> socket.socket:
    try:
        return bind(address, port)
    except OSError:
        if port == 0:
            raise
        _log.warning("simulation_port_taken", port=port, address=address)
        return bind(address, 0)


def _allow_files(number: int) -> None:
    """Every host needs a socket and its scrapers' connections: raise the soft limit as far as it takes and may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 512
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
