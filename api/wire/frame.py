"""The road that every operation takes, once: find it, authenticate, authorise, read, open the session, run, write the
answer.

Nothing that a caller can do is logged above INFO, and KEY_PARAM and KEY_TOKEN are never logged. What nobody foresaw is
answered with an incident id and logged at ERROR with the same id: the text of the exception goes to the log, never to
the caller.

The worst moment: a caller who is gone. The domain function runs in a worker thread and is never cancelled half way; its
transaction commits or rolls back as a whole before the answer is written.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from anyio import to_thread
from fastapi import Request, Response
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from api import metrics
from api.wire import codec, envelope, form
from api.wire.answers import Writer
from api.wire.envelope import Result
from api.wire.languages import Language, Text, preferred
from api.wire.messages import explain
from api.wire.operation import Found, NoSuchMethod, NoSuchPath, Operation, Table
from core.clock import Clock
from core.context import Caller, Context, Role
from core.db.engine import Database
from core.drivers.compute import ComputeDriver
from core.errors import Fault, Forbidden, NotBuilt, Unauthorised
from core.ids import new_id
from core.secrets import key_ring
from core.settings import Settings
from core.tenancy.tokens import authenticate
from core.timeseries.store import StoreUnavailable, TimeSeriesStore
from core.zone import zone

TOKEN = "KEY_TOKEN"  # noqa: S105 (the name of a header)
_log = structlog.get_logger(__name__)

_NO_PATH = Text("没有这个接口 [no_such_path]", "there is no such operation")
_NO_METHOD = Text(
    "此接口不支持该方法；允许：{} [no_such_method]", "the operation does not take this method; allowed: {}"
)
_TOO_LARGE = Text(
    f"请求体过大；允许：不超过 {form.BODY_LIMIT} 字节 [body_too_large]",
    f"the body is too large; allowed: up to {form.BODY_LIMIT} bytes",
)
_INTERNAL = Text("内部错误，事件编号 {} [internal_error]", "internal error, incident {}")
_NO_STORE = Text("监控数据暂不可用 [store_unavailable]", "monitoring data is not available now")


@dataclass(frozen=True, slots=True)
class Services:
    """What operations run on. `tasks` None: operations on VMs are refused, for nothing here could do them."""

    database: Database
    store: TimeSeriesStore
    clock: Clock
    settings: Settings
    tasks: Tasks | None = None


class Tasks(Protocol):
    """What carries tasks out, seen from those who submit them. `server_id` may change."""

    @property
    def server_id(self) -> str: ...

    @property
    def driver(self) -> ComputeDriver: ...

    def keep(self) -> None:
        """Their upkeep, every `task_heartbeat` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class _Reply:
    """`status` 200 goes with the three documented results."""

    body: Mapping[str, object]
    status: int = 200
    headers: Mapping[str, str] | None = None

    @property
    def result(self) -> str:
        return str(self.body["result"]) if self.status == 200 else str(self.status)


class Frame:
    """Answers requests below the base URL."""

    def __init__(self, table: Table, services: Services) -> None:
        self._table = table
        self._services = services
        self._zone = zone(services.settings.timezone)
        self._keys = key_ring(services.settings)

    async def answer(self, request: Request, method: str, path: str) -> Response:
        """The operation `path` (relative to the base URL) called with `method`."""
        began = self._services.clock.monotonic()
        language = preferred(request.headers.get("accept-language"))
        label = metrics.UNKNOWN
        try:
            found = self._table.find(method, path)
            label = found.operation.name
            reply = await self._reply(request, found, language)
        except NoSuchPath:
            reply = await _refused(request, _NO_PATH.of(language), 404)
        except NoSuchMethod as fault:
            allowed = ", ".join(fault.allowed)
            reply = await _refused(request, _NO_METHOD.of(language).format(allowed), 405, {"allow": allowed})
        metrics.REQUESTS.labels(label, reply.result).inc()
        metrics.DURATION.labels(label).observe(self._services.clock.monotonic() - began)
        return envelope.response(reply.body, language, status=reply.status, headers=reply.headers)

    async def _reply(self, request: Request, found: Found, language: Language) -> _Reply:
        """Never raises: every fault has its envelope."""
        words = found.operation.words
        try:
            caller = await self._caller(request, found.operation)
            raw = await _raw(request, found)
            return _Reply(await to_thread.run_sync(self._run, found.operation, caller, raw, language))
        except Unauthorised as fault:
            await form.discard(request)
            return _Reply(envelope.failure(Result.BAD_TOKEN, explain(fault, words, language)))
        except Fault as fault:
            await form.discard(request)
            return _Reply(envelope.failure(Result.FAILURE, explain(fault, words, language)))
        except form.BodyTooLarge:
            return await _refused(request, _TOO_LARGE.of(language), 413)
        except StoreUnavailable:
            return _Reply(envelope.failure(Result.FAILURE, _NO_STORE.of(language)))
        except ClientDisconnect:
            return _Reply(envelope.failure(Result.FAILURE, ""), 400)
        except Exception as error:  # noqa: BLE001 (the last place where a mistake of ours can become an answer)
            return _incident(found.operation, error, language)

    async def _caller(self, request: Request, operation: Operation) -> Caller:
        token = request.headers.get(TOKEN, "").strip()
        services = self._services
        caller = await to_thread.run_sync(authenticate, services.database, self._keys, token, services.clock.now())
        if operation.role is Role.PLATFORM and not caller.is_platform:
            raise Forbidden("this operation needs a platform token")
        return caller

    def _run(
        self, operation: Operation, caller: Caller, raw: Mapping[str, object], language: Language
    ) -> dict[str, object]:
        """In a worker thread: read, run and write within one transaction."""
        if operation.run is None:
            raise NotBuilt(operation.name)
        services = self._services
        arguments = operation.read(raw, self._zone)
        with self._session(caller, write=operation.writes) as session:
            tasks = services.tasks
            server_id, driver = (None, None) if tasks is None else (tasks.server_id, tasks.driver)
            at = Context(caller, session, services.clock, services.store, services.settings, server_id, driver)
            value = operation.run(at, *arguments)
            writer = Writer(self._zone, language, caller.is_platform)
            return envelope.success(value, operation.answer_words, writer, operation.nothing)

    @contextmanager
    def _session(self, caller: Caller, *, write: bool) -> Iterator[Session]:
        database = self._services.database
        if caller.tenant_id is None:
            with database.platform(write=write) as everything:
                yield everything
        else:
            with database.tenant(caller.tenant_id, write=write) as own:
                yield own


async def _raw(request: Request, found: Found) -> Mapping[str, object]:
    """GET and DELETE carry everything in their path; what else they bring is ignored."""
    if not found.operation.has_body:
        return found.path_values
    return codec.decode(await form.key_param(request))


async def _refused(request: Request, text: str, status: int, headers: Mapping[str, str] | None = None) -> _Reply:
    await form.discard(request)
    return _Reply(envelope.failure(Result.FAILURE, text), status, headers)


def _incident(operation: Operation, error: Exception, language: Language) -> _Reply:
    incident = new_id("incident")
    trace = "".join(traceback.format_exception(error))
    _log.error("api.internal_error", incident=incident, operation=operation.name, trace=trace)
    return _Reply(envelope.failure(Result.FAILURE, _INTERNAL.of(language).format(incident)), 500)
