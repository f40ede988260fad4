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
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Protocol

import structlog
from anyio import to_thread
from fastapi import Request, Response
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from api import metrics
from api.wire import codec, envelope, form, witness
from api.wire.answers import Writer
from api.wire.envelope import Result
from api.wire.languages import Language, Text, preferred
from api.wire.messages import explain
from api.wire.operation import Found, NoSuchMethod, NoSuchPath, Operation, Table
from api.wire.pace import Pace
from core.audit import log as audit
from core.audit import refusals
from core.audit.log import Deed, End
from core.audit.refusals import Refusals
from core.audit.rows import Outcome
from core.clock import Clock
from core.context import Caller, Context, Role
from core.db.engine import UNAVAILABLE, Database
from core.drivers.compute import ComputeDriver
from core.errors import Fault, Forbidden, Unauthorised
from core.ids import new_id
from core.secrets import key_ring
from core.settings import Settings
from core.tasks.queue import submitted
from core.tenancy.tokens import authenticate
from core.timeseries.store import StoreUnavailable, TimeSeriesStore
from core.zone import zone

_COME_BACK: Final = "2"
"""Seconds."""
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
_TOO_MANY = Text("请求过于频繁；请在 {} 秒后重试 [too_many_requests]", "too many requests; try again in {} seconds")
_NO_DATABASE = Text(
    "数据库暂不可用，请稍后重试 [database_unavailable]", "the database is not available now; try again later"
)
_NO_STORE = Text("监控数据暂不可用 [store_unavailable]", "monitoring data is not available now")


@dataclass(frozen=True, slots=True)
class Services:
    """What operations run on. `tasks` None: operations on VMs are refused, for nothing here could do them."""

    database: Database
    store: TimeSeriesStore
    clock: Clock
    settings: Settings
    tasks: Tasks | None = None
    refusals: Refusals = field(default_factory=Refusals)


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


@dataclass(slots=True)
class _Call:
    """An authenticated request. `raw`: its parameters, as far as they have been read."""

    operation: Operation
    caller: Caller
    address: str
    base_url: str
    language: Language
    raw: Mapping[str, object] = field(default_factory=dict)

    def deed(self, answer: Mapping[str, object]) -> Deed:
        return witness.deed(self.operation, self.caller, self.address, self.raw, answer)


@dataclass(frozen=True, slots=True)
class _Failure:
    reply: _Reply
    end: End


class Frame:
    """Answers requests below the base URL."""

    def __init__(self, table: Table, services: Services) -> None:
        self._table = table
        self._services = services
        self._zone = zone(services.settings.timezone)
        self._keys = key_ring(services.settings)
        self._pace = Pace(services.settings.request_rate)

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
        operation, address = found.operation, request.client.host if request.client else ""
        base_url = str(request.base_url).rstrip("/")
        try:
            caller = await self._caller(request)
        except Unauthorised as fault:
            await form.discard(request)
            await to_thread.run_sync(self._note_refusal, operation, address, fault)
            return _Reply(envelope.failure(Result.BAD_TOKEN, explain(fault, operation.words, language)))
        except UNAVAILABLE as problem:
            return await _away(request, operation, problem, language)
        except Exception as error:  # noqa: BLE001 (the last place where a mistake of ours can become an answer)
            return _incident(operation, error, language)
        wait = self._pace.delay(caller.token_id, self._services.clock.monotonic())
        if wait:
            after = {"retry-after": str(ceil(wait))}
            return await _refused(request, _TOO_MANY.of(language).format(after["retry-after"]), 429, after)
        return await self._served(request, found, _Call(operation, caller, address, base_url, language))

    async def _served(self, request: Request, found: Found, call: _Call) -> _Reply:
        try:
            _authorise(call)
            call.raw = await _raw(request, found)
            return _Reply(await to_thread.run_sync(self._run, call))
        except ClientDisconnect:
            return _Reply(envelope.failure(Result.FAILURE, ""), 400)
        except UNAVAILABLE as problem:  # for an entry of the audit log, too
            return await _away(request, call.operation, problem, call.language)
        except Exception as error:  # noqa: BLE001 (as above)
            await form.discard(request)
            failure = _failure(call, error)
            if call.operation.writes:
                await to_thread.run_sync(self._note_failure, call, failure.end)
            return failure.reply

    async def _caller(self, request: Request) -> Caller:
        token = request.headers.get(TOKEN, "").strip()
        services = self._services
        return await to_thread.run_sync(authenticate, services.database, self._keys, token, services.clock.now())

    def _run(self, call: _Call) -> dict[str, object]:
        """In a worker thread: read, run and write within one transaction."""
        operation, services = call.operation, self._services
        arguments = operation.read(call.raw, self._zone)
        with self._session(call.caller, write=operation.writes) as session:
            tasks = services.tasks
            server_id, driver = (None, None) if tasks is None else (tasks.server_id, tasks.driver)
            around = services.clock, services.store, services.settings
            at = Context(call.caller, session, *around, server_id, driver, call.base_url)
            value = operation.run(at, *arguments)
            writer = Writer(self._zone, call.language, call.caller.is_platform)
            answer = envelope.success(value, operation.answer_words, writer, operation.nothing)
            if operation.writes:
                end = witness.success(submitted(session))
                audit.record(session, services.clock.now(), call.deed(answer), end)
            return answer

    def _note_failure(self, call: _Call, end: End) -> None:
        audit.record_apart(self._services.database, self._services.clock.now(), call.deed({}), end)

    def _note_refusal(self, operation: Operation, address: str, fault: Unauthorised) -> None:
        refusal = refusals.Refusal(operation.name, address, fault.reason, fault.token_id)
        services = self._services
        refusals.write(services.database, services.refusals.note(refusal, services.clock.now()))

    @contextmanager
    def _session(self, caller: Caller, *, write: bool) -> Iterator[Session]:
        database = self._services.database
        if caller.tenant_id is None:
            with database.platform(write=write) as everything:
                yield everything
        else:
            with database.tenant(caller.tenant_id, write=write) as own:
                yield own


def _authorise(call: _Call) -> None:
    if call.operation.role is Role.PLATFORM and not call.caller.is_platform:
        raise Forbidden("this operation needs a platform token")


async def _raw(request: Request, found: Found) -> Mapping[str, object]:
    """GET and DELETE carry everything in their path; what else they bring is ignored."""
    if not found.operation.has_body:
        return found.path_values
    return codec.decode(await form.key_param(request))


async def _refused(request: Request, text: str, status: int, headers: Mapping[str, str] | None = None) -> _Reply:
    await form.discard(request)
    return _Reply(envelope.failure(Result.FAILURE, text), status, headers)


def _failure(call: _Call, error: Exception) -> _Failure:
    """What becomes of a fault: the answer, and what the audit log says."""
    match error:
        case Fault():
            words, platform = call.operation.words, call.caller.is_platform
            text = explain(error, words, call.language, platform=platform)
            end = witness.failure(error, call.operation, call.raw)
            return _Failure(_Reply(envelope.failure(Result.FAILURE, text)), end)
        case form.BodyTooLarge():
            return _worded(call, _TOO_LARGE, "body_too_large", 413)
        case StoreUnavailable():
            return _worded(call, _NO_STORE, "store_unavailable", 200)
    reply = _incident(call.operation, error, call.language)
    return _Failure(reply, End(outcome=Outcome.FAILED, code="internal_error", reason=str(reply.body["resultinfo"])))


def _worded(call: _Call, text: Text, code: str, status: int) -> _Failure:
    reply = _Reply(envelope.failure(Result.FAILURE, text.of(call.language)), status)
    return _Failure(reply, End(outcome=Outcome.FAILED, code=code, reason=text.en))


async def _away(request: Request, operation: Operation, problem: Exception, language: Language) -> _Reply:
    """503: a balancer may ask another process, and a client again."""
    _log.warning("database_unavailable", operation=operation.name, reason=str(problem))
    return await _refused(request, _NO_DATABASE.of(language), 503, {"retry-after": _COME_BACK})


def _incident(operation: Operation, error: Exception, language: Language) -> _Reply:
    incident = new_id("incident")
    trace = "".join(traceback.format_exception(error))
    _log.error("api.internal_error", incident=incident, operation=operation.name, trace=trace)
    return _Reply(envelope.failure(Result.FAILURE, _INTERNAL.of(language).format(incident)), 500)
