"""JSON for operators: the few routes that are no part of the wire and need a platform token all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import JSONResponse

from core.db.engine import UNAVAILABLE
from core.errors import Conflict, Fault, Forbidden, Invalid, NotFound, Unauthorised

Authorise = Callable[[str], None]
"""Given the value of KEY_TOKEN, empty when there is none; raises Unauthorised or Forbidden."""

Token = Annotated[str, Header(alias="KEY_TOKEN", convert_underscores=False)]

_STATUS: dict[type[Fault], int] = {Unauthorised: 401, Forbidden: 403, NotFound: 404, Conflict: 409}


def answered(authorise: Authorise, token: str, work: Callable[[], Any]) -> JSONResponse:
    """What `work` gives, or why not."""
    try:
        authorise(token)
        return JSONResponse(work())
    except Fault as refusal:
        return JSONResponse(_explained(refusal), _STATUS.get(type(refusal), 400))
    except UNAVAILABLE:
        return JSONResponse({"error": "the database is not available now; try again later"}, 503)


def _explained(refusal: Fault) -> dict[str, str]:
    detail = {"field": refusal.field, "allowed": refusal.allowed} if isinstance(refusal, Invalid) else {}
    return {"error": str(refusal), **detail}
