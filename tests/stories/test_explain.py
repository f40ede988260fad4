"""Why an alarm was raised or not, asked of the running product."""

import httpx

from tests.support.product import Product
from tests.support.real import eventually

RULE = "host-unreachable"


def ask(product: Product, rule: str, name: str, token: str) -> httpx.Response:
    url = f"{product.url}/rules/{rule}/explain"
    return httpx.get(url, params={"object": name}, headers={"KEY_TOKEN": token}, timeout=10)


def test_the_last_evaluations_say_what_was_found_and_why(product: Product) -> None:
    def several() -> list[dict[str, object]] | None:
        answer = ask(product, RULE, "host-local", product.platform_token)
        return answer.json() if answer.is_success and len(answer.json()) > 2 else None

    evaluations = eventually(several)
    assert [one["at"] for one in evaluations] == sorted((one["at"] for one in evaluations), reverse=True)
    assert evaluations[0]["verdicts"] == {"high": "clear"}
    assert evaluations[0]["why"]


def test_who_may_not_ask_and_what_is_not_there_is_said(product: Product) -> None:
    assert ask(product, RULE, "host-local", "").status_code == 401
    assert ask(product, RULE, "host-local", product.demo_token).status_code == 403
    assert ask(product, "no-such-rule", "host-local", product.platform_token).status_code == 404
    assert ask(product, RULE, "host-nobody", product.platform_token).status_code == 404
