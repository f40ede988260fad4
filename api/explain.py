"""Why a rule did or did not raise an alarm on an object: its last evaluations in the running product, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from aggregator.rules.explain import Explanation, Memory
from api.operator_json import Authorise, Token, answered


def create_router(memory: Memory, authorise: Authorise) -> APIRouter:
    """GET /rules/{rule}/explain?object=ID: a list, newest evaluation first."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    @router.get("/{rule}/explain")
    def explain(rule: str, name: Annotated[str, Query(alias="object")], key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: [_shown(one) for one in memory.explain(rule, name)])

    return router


def _shown(one: Explanation) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
        "value": one.value,
        "unit": one.unit,
        "verdicts": {severity.name.lower(): str(verdict) for severity, verdict in one.verdicts},
        "why": one.why,
    }
