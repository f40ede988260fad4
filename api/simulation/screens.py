"""The consoles of simulated VMs: a thread with an event loop that serves RFB on a port of the loopback for each VM
whose console was asked for here.

A listener is there from the moment it is asked for until its VM does not run any more, which is noticed a moment
later; then whoever looks is cut off, as by a hypervisor. One that nobody looks at any more goes, too. It is bound to
the loopback whatever address the pages have: a console without a password is nobody's business but the proxy's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from api.simulation.exporter import LOOPBACK
from api.simulation.loop import LoopThread
from api.simulation.viewer import Viewer
from core.drivers.compute import Refused, VmAt, VncEndpoint
from core.drivers.simulated import machines, screen
from core.drivers.simulated.compute import World, answers
from core.drivers.simulated.fleet import Fleet
from core.errors import Fault
from core.sealing import Place, Sealed, SealingKeys, Unsealable

_LOOK_EVERY: Final = 0.2
"""Seconds until the console of a VM that stops is closed, at most."""
_KEPT: Final = 600.0
"""Seconds that a listener stays when it is not asked for and nobody looks."""
_log = structlog.get_logger(__name__)


class _Screen:
    """One VM's listener and those who look at it. `used_at`: when it was asked for or looked at last, of the loop's
    clock."""

    def __init__(self, server: asyncio.Server, viewers: set[asyncio.Task[None]], used_at: float) -> None:
        self.server = server
        self.viewers = viewers
        self.used_at = used_at

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self.server.close()
        viewers = tuple(self.viewers)
        for viewer in viewers:
            viewer.cancel()
        await asyncio.gather(*viewers, return_exceptions=True)


class Screens:
    """Up when `start` returns, gone when `stop` does. In between, threads share it."""

    def __init__(self, world: World, keys: SealingKeys) -> None:
        self._world = world
        self._keys = keys
        self._screens: dict[VmAt, _Screen] = {}
        self._opening = asyncio.Lock()
        self._loop = LoopThread("screens")

    def start(self) -> None:
        self._loop.start()
        self._loop.repeat(_LOOK_EVERY, self._look)

    def stop(self) -> None:
        self._loop.stop(self._close())

    # --- core.drivers.simulated.compute.Consoles

    def seal(self, vm_id: str, password: str) -> str:
        return self._keys.seal(password, _place(vm_id)).text

    def open(self, at: VmAt) -> VncEndpoint:
        """Raises Refused when there is no port left."""
        try:
            return VncEndpoint(LOOPBACK, self._loop.do(self._listen(at)))
        except OSError as problem:
            raise Refused(f"no port for a console: {problem.strerror}") from None

    # --- on the loop

    async def _close(self) -> None:
        for shown in self._screens.values():
            await shown.close()
        self._screens.clear()

    async def _listen(self, at: VmAt) -> int:
        async with self._opening:
            now, known = self._loop.time(), self._screens.get(at)
            if known is None:
                viewers: set[asyncio.Task[None]] = set()

                async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    await self._serve(at, viewers, reader, writer)

                known = self._screens[at] = _Screen(await asyncio.start_server(serve, LOOPBACK, 0), viewers, now)
            known.used_at = now
            return known.port

    async def _look(self) -> None:
        """Whether somebody has a screen that is dark, or of use to nobody."""
        if not self._screens:
            return
        try:
            dark = self._dark(tuple(self._screens))
        except (OSError, sqlite3.Error, Fault) as problem:
            _log.warning("simulation_not_followed", reason=str(problem))
            return
        for at in dark | self._unused():
            await self._screens.pop(at).close()

    def _dark(self, shown: Sequence[VmAt]) -> set[VmAt]:
        return self._world.ask(lambda fleet, _: {at for at in shown if not _is_on(fleet, at)})

    def _unused(self) -> set[VmAt]:
        now = self._loop.time()
        for shown in self._screens.values():
            shown.used_at = now if shown.viewers else shown.used_at
        return {at for at, shown in self._screens.items() if now - shown.used_at > _KEPT}

    async def _serve(
        self,
        at: VmAt,
        viewers: set[asyncio.Task[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        own = asyncio.current_task()
        assert own is not None
        viewers.add(own)
        try:
            password = self._password(at.vm_id)
            await Viewer(reader, writer, at.vm_id, lambda: self._page(at)).serve(password)
        except Unsealable as problem:
            _log.warning("simulated_console_password_lost", vm=at.vm_id, reason=str(problem))
        except (OSError, sqlite3.Error, Refused, Fault, asyncio.IncompleteReadError):
            _log.debug("simulated_console_left", vm=at.vm_id)
        except asyncio.CancelledError:
            _log.debug("simulated_console_closed", vm=at.vm_id)
        finally:
            viewers.discard(own)
            writer.transport.abort()

    def _password(self, vm_id: str) -> str | None:
        """None: the console has none."""
        passwords: Mapping[str, str] = self._world.ask(lambda fleet, _: fleet.records.consoles)
        sealed = passwords.get(vm_id)
        return None if sealed is None else self._keys.open(Sealed(sealed), _place(vm_id))

    def _page(self, at: VmAt) -> tuple[str, ...]:
        return self._world.ask(lambda fleet, now: screen.page(fleet, machines.get(fleet, at).index, now))


def _place(vm_id: str) -> Place:
    return Place("simulated_vm", "console_password", vm_id)


def _is_on(fleet: Fleet, at: VmAt) -> bool:
    vm = machines.find(fleet, at)
    return vm is not None and fleet.runs(vm.index) and answers(fleet, at.host_id)
