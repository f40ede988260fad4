"""Secrets of a running product: handed out once, and then nowhere to be read: not in files, log, metrics or answers.

A secret is looked for as it is, and as Base64 (of any text around it), hexadecimal and URL-encoded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from api.operations.table import SECTIONS
from api.wire.client import Answer, StarVCenter, pack
from core.sealing import KEY_FILE as SEALING_KEY
from core.secrets import KEY_FILE as TOKEN_KEY
from tests.support.product import Product, fields, measured, rows
from tests.support.real import eventually
from tests.support.state import contents, database_of
from tests.support.vnc import viewing

PLATFORM: Final = "platform-token-4711-of-this-test"
DEMO_FILE: Final = "demo-token"
QUOTA: Final = {"app.cpu.quota": 20, "app.memory.quota": 40_000, "app.storage.quota": 1000, "app.portgroup.quota": 2}
PAGE: Final = {"page.startnum": 1, "page.everypagenum": 30}
PAGES: Final = ("/metrics", "/openapi.json", "/starvcenter/services", "/starvcenter/services/application.wadl", "/")
BASE: Final = "/starvcenter/services/cloudresource"


@dataclass
class Known:
    """The secrets of the story by what they are; `handed_out` counts the answers that showed one."""

    secrets: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, text: str) -> str:
        assert text
        self.secrets[what] = text
        return text

    def forms(self) -> Mapping[bytes, str]:
        return {form: what for what, text in self.secrets.items() for form in _forms(text.encode())}

    def found(self, content: bytes) -> set[str]:
        return {what for form, what in self.forms().items() if form in content}


def _forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    yield quote(secret).encode()
    for before in range(3):
        packed = base64.b64encode(b"\0" * before + secret + b"\0" * (-(before + len(secret)) % 3))
        first = -(-before * 8 // 6)
        yield packed[first : (before + len(secret)) * 8 // 6]


def test_the_forms_are_found_in_any_text_around_a_secret() -> None:
    known = Known({"it": "Tr0ub4dor&3"})
    for before in range(4):
        text = b"x" * before + b"Tr0ub4dor&3" + b"y" * 5
        for content in (text, base64.b64encode(text), text.hex().encode(), quote(text).encode()):
            assert known.found(b"..." + content + b"...") == {"it"}
    assert known.found(base64.b64encode(b"Tr1ub4dor&3")) == set()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """It logs all that it can, and works slowly enough to be looked at while secrets are under way."""
    settings = {"platform_token": PLATFORM, "log_level": "DEBUG", "sim_task_seconds": 1, "task_workers": 2}
    with Product(tmp_path_factory.mktemp("secrets"), **settings) as running:
        measured(running)
        yield running


def _files(product: Product) -> Iterator[Path]:
    """Everything it wrote, but the files that are there to hold a secret."""
    meant = {TOKEN_KEY, SEALING_KEY, DEMO_FILE}
    yield from (file for file in product.data.rglob("*") if file.is_file() and file.name not in meant)
    yield product.log


def _leaks(product: Product, known: Known) -> list[tuple[str, str]]:
    """Where what stands that should not: (file, secret)."""
    written = [(file.name, file.read_bytes()) for file in _files(product)]
    with closing(database_of(product.data)) as database:
        written.append(("the state", contents(database).encode()))
    return [(name, what) for name, content in written for what in known.found(content)]


def _ended(client: StarVCenter, answer: Answer) -> str:
    def task() -> dict[str, Any]:
        return rows(client("cloudtask/search", {"startid": answer.task_id}))[0]

    assert answer.task_id, answer.text
    eventually(lambda: task()["task.result"] not in {"2", "3"}, 30)
    return str(task()["task.resultinfo"])


def _free(client: StarVCenter, vm: str) -> None:
    """Nothing is done to the VM any more."""
    eventually(lambda: fields(client.call("GET", f"cloudvm/{vm}"))["vm.lock"] == "0", 30)


def _open(client: StarVCenter, known: Known) -> str:
    vpc = fields(client("cloudnetwork/vpc/create"))["vpc.id"]
    wish = {
        "vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc,
        "vm.vncpasswd": known.add("console password at opening", "Vq7#pLz2"),
        "vm.account.pwd": known.add("administrator's password at opening", "correct-horse-battery"),
    }  # fmt: skip
    (opened,) = rows(client("cloudvm/create", wish))
    return str(opened["vm.id"])


def _change_passwords(product: Product, client: StarVCenter, known: Known, vm: str) -> None:
    """Each is set, seen under way, and one of them fails."""
    new = known.add("administrator's password", "new-horse-battery")
    answer = client("cloudvm/setadminpwd", {"vm.id": vm, "username": "root", "pwd": new})
    assert _leaks(product, known) == [], "while the task waits or runs"
    assert _ended(client, answer) == ""
    edited = {"vm.id": vm, "vm.vncpasswd": known.add("console password", "k9$Wm!xB")}
    assert client("cloudvm/editvncpwd", edited).succeeded
    _free(client, vm)
    reset = fields(client("cloudvm/setvncpwd", {"vm.id": vm}))
    known.add("console password that was made", reset["vm.vncpasswd"])
    _free(client, vm)
    product.inject("fail-operation", vm, "password")
    failing = known.add("administrator's password that failed", "third-horse-battery")
    assert "guest" in _ended(client, client("cloudvm/setadminpwd", {"vm.id": vm, "pwd": failing}))


def _look(known: Known, url: str) -> None:
    """The ticket in the address opens the console, and then it is tried again."""
    known.add("console ticket", url.rpartition("/")[2])
    with viewing(url) as vnc:
        vnc.log_in(known.secrets["console password at opening"])
    with pytest.raises(InvalidStatus), viewing(url):
        pass


def _mistakes(product: Product, client: StarVCenter, known: Known) -> None:
    """What people do with secrets: too long, misspelt, in the wrong place."""
    secret = known.add("password in a mistake", "fourth-horse-battery")
    for path, params in (
        ("cloudvm/editvncpwd", {"vm.id": "vm-404", "vm.vncpasswd": secret}),
        ("cloudvm/setadminpwd", {"vm.id": "vm-404", "pwd": secret}),
        ("cloudvm/setadminpwd", {"vm.id": "vm-404", "pwd": [secret], "password": secret}),
        ("cloudvm/create", {"vm.vncpasswd": secret, "vm.account.pwd": {"text": secret}}),
    ):
        assert not client(path, params).succeeded
    mangled = pack({"pwd": secret})[:-3]
    form, query = {"KEY_PARAM": mangled}, {"KEY_PARAM": pack({"pwd": secret}), "KEY_TOKEN": secret}
    headers = {"KEY_TOKEN": known.secrets["tenant's token"]}
    url = f"{product.url}{BASE}/cloudvm/setadminpwd"
    httpx.post(url, data=form, params=query, headers=headers, trust_env=False, timeout=30)
    httpx.post(f"{url}/{secret}", headers={"KEY_TOKEN": secret}, trust_env=False, timeout=30)


def _tokens(product: Product, known: Known) -> StarVCenter:
    made = fields(product.platform("cloudTenant/create", {"app.name": "shop", **QUOTA}))
    known.add("tenant's token", made["app.token"])
    more = fields(product.platform("cloudTenant/token", {"app.id": made["app.id"]}))
    known.add("tenant's second token", more["app.token"])
    revoke = {"app.id": made["app.id"], "token.action": "revoke"}
    assert not product.platform("cloudTenant/token", {**revoke, "token.id": more["app.token"]}).succeeded
    assert product.platform("cloudTenant/token", {**revoke, "token.id": more["token.id"]}).succeeded
    with product.client(more["app.token"]) as revoked:
        assert revoked("cloudvm/search").result == "1003"
    return product.client(made["app.token"])


def _volume(product: Product, known: Known) -> None:
    (storage,) = [row for row in rows(product.platform("cloudstorage/search")) if row["storage.type"] == "CEPH"]
    wish = {"vdisk.name": "pv", "vdisk.size": 1, "vdisk.storageid": storage["storage.id"]}
    for what in ("Ceph key of a volume", "Ceph key of another volume"):
        (made,) = rows(product.platform("cloudvm/vdisk/create/pv", wish))
        known.add(what, made["ceph.key"])
    assert _leaks(product, known) == [], "while the last volume is made"
    deleted = product.platform.call("DELETE", f"cloudvm/vdisk/{made['vdisk.id']}")
    assert _ended(product.platform, deleted) == ""


def _answers(client: StarVCenter, vm: str) -> Iterator[tuple[str, str]]:
    """What every operation that only reads has to say."""
    named = {"monitor.obj.type": "vm", "monitor.obj": vm, "monitor.objids": [vm], "lineType": "minute"}
    ids = {"vdisk.vmid": vm, "vnic.vmid": vm, "isfindPage": True}
    for operation in (one for section in SECTIONS for one in section.operations if not one.writes):
        path = re.sub(r"\{.*\}", vm, operation.path)
        answer = client.call(operation.method, path, {**PAGE, **named, **ids} if operation.has_body else None)
        yield operation.name, repr(answer)


def test_no_secret_is_readable_anywhere_but_in_the_answer_that_hands_it_out(product: Product) -> None:
    known = Known({"platform token": PLATFORM})
    with _tokens(product, known) as client:
        vm = _open(client, known)
        assert _leaks(product, known) == [], "while the VM is being opened"
        _free(client, vm)
        console = client.call("GET", f"cloudvm/connection/{vm}")
        assert console.succeeded
        assert known.found(repr(console).encode()) == set()
        _look(known, fields(console)["vm.console.url"])
        _change_passwords(product, client, known, vm)
        _mistakes(product, client, known)
        _volume(product, known)
        assert len(known.secrets) == 13
        said = [*_answers(client, vm), *_answers(product.platform, vm)]
    assert sum("succeeded" not in text and "result='0'" in text for _, text in said) > 20
    assert [(name, known.found(text.encode())) for name, text in said if known.found(text.encode())] == []
    ask = {"trust_env": False, "timeout": 30, "follow_redirects": True}
    pages = {page: httpx.get(product.url + page, **ask) for page in PAGES}  # type: ignore[arg-type]
    assert all(page.is_success for page in pages.values())
    assert [page for page, answer in pages.items() if known.found(answer.content)] == []
    recorded = rows(product.platform("cloudaudit/search", PAGE))
    assert any(row["audit.operation"].endswith("setadminpwd") for row in recorded)
    assert _leaks(product, known) == []
    product.kill()
    product.start()
    assert _leaks(product, known) == [], "after a kill"
    assert product.errors() == []
