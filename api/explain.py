"""Why a rule did or did not raise an alarm on an object, as JSON: its last evaluations, where this process makes them.
Elsewhere one is made for the asker, of what the store and the inventory say now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from aggregator.rules.evaluate import evaluate
from aggregator.rules.explain import Explanation, Memory
from aggregator.rules.language import RuleBook
from aggregator.rules.load import files_in_force, load_files
from aggregator.rules.observer import Observer
from aggregator.rules.reading import read_inventory
from aggregator.rules.source import RulesInvalid
from api.operator_json import Authorise, Token, answered
from api.wire.frame import Services
from core.errors import Invalid, NotFound

Explain = Callable[[str, str], Sequence[Explanation]]
"""Given a rule and an object: its evaluations, newest first. Raises NotFound."""


def create_router(explain: Explain, authorise: Authorise) -> APIRouter:
    """GET /rules/{rule}/explain?object=ID: a list, newest evaluation first."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    @router.get("/{rule}/explain")
    def _explain(rule: str, name: Annotated[str, Query(alias="object")], key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: [_shown(one) for one in explain(rule, name)])

    return router


def afresh(services: Services) -> Explain:
    """Evaluates when it is asked, with the rules of that moment."""

    def explain(rule: str, name: str) -> Sequence[Explanation]:
        settings = services.settings
        try:
            book = load_files(files_in_force(settings.rules_file), settings.scrape_interval)
        except RulesInvalid as problem:
            raise Invalid("rules_file", str(problem), "what `starvc rules check` finds right") from problem
        return evaluated_now(services, book, rule, name)

    return explain


def evaluated_now(services: Services, book: RuleBook, rule: str, name: str) -> Sequence[Explanation]:
    """One evaluation, of what the store and the inventory say now. Raises NotFound."""
    settings, now = services.settings, services.clock.now().timestamp()
    alone = RuleBook(tuple(one for one in book.rules if one.id == rule), book.scrape_interval)
    if not alone.rules:
        raise NotFound("rule", rule)
    with services.database.platform() as session:
        inventory = read_inventory(session)
    memory, observer = Memory(), Observer(alone, now - settings.raw_retention * 3600)
    view = observer.look(services.store, inventory, now)
    limits = dict(observer.limits(view.census))
    memory.remember(evaluate(alone, limits, view, ()), limits)
    return memory.explain(rule, name)


def _shown(one: Explanation) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
        "value": one.value,
        "unit": one.unit,
        "verdicts": {severity.name.lower(): str(verdict) for severity, verdict in one.verdicts},
        "why": one.why,
    }
