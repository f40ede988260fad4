"""What the audit log says of operations over the wire, and what it never says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload
from typer.testing import CliRunner, Result

from api import cli_audit
from api.cli import app
from api.serving import BackgroundServer, listen, trusted
from api.wire import witness
from api.wire.client import StarVCenter
from core.audit import refusals
from core.audit.rows import AuditEntry
from core.compute.rows import Vm
from core.errors import Invalid
from tests.api.conftest import PLATFORM_TOKEN, Cloud
from tests.support.product import fields, rows

Run = Callable[..., Result]


def entries(cloud: Cloud, **wanted: object) -> list[dict[str, Any]]:
    """Newest first, without those of the fixture."""
    filters = {f"audit.{name}": value for name, value in wanted.items()}
    page = {"page.startnum": 1, "page.everypagenum": 30}
    found = rows(cloud.platform("cloudaudit/search", {**filters, **page}))
    return [entry for entry in found if entry["audit.operation"] != "POST cloudTenant/create"]


def ids(entry: dict[str, Any]) -> dict[str, str]:
    return {one["audit.objid"]: one["audit.objname"] for one in entry["audit.objects"]}


def given(entry: dict[str, Any]) -> dict[str, str]:
    return {one["param.name"]: one["param.value"] for one in entry["audit.params"]}


def test_what_is_done_has_an_entry_with_its_task(cloud: Cloud) -> None:
    cloud.connect()
    vpc = fields(cloud.alice("cloudnetwork/vpc/create"))["vpc.id"]
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": "512", "vnic.portgroupid": vpc}
    (opened,) = rows(cloud.alice("cloudvm/create", {**wish, "vm.name": "web", "nonsense": 1}))
    entry, first = entries(cloud)
    assert first["audit.operation"] == "POST cloudnetwork/vpc/create"
    assert (entry["audit.operation"], entry["audit.result"], entry["audit.role"]) == (
        "POST cloudvm/create", "0", "tenant",
    )  # fmt: skip
    assert (entry["app.id"], entry["audit.address"], entry["audit.count"]) == (cloud.alice_id, "127.0.0.1", "1")
    assert entry["token.id"].startswith("token-")
    assert ids(entry) == {vpc: "vnic.portgroupid", opened["vm.id"]: "vm.id", opened["jobstartid"]: "jobstartid"}
    assert entry["audit.startids"] == [opened["jobstartid"]]
    assert given(entry) == {
        "vm.tenant.model": "", "vm.vcpu.num": "1", "vm.memory.mem": "512", "vnic.portgroupid": "", "vm.name": "",
    }  # fmt: skip


def test_a_task_that_the_caller_is_not_told_of_stands_there_too(cloud: Cloud) -> None:
    cloud.connect()
    vpc = fields(cloud.alice("cloudnetwork/vpc/create"))["vpc.id"]
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc}
    (opened,) = rows(cloud.alice("cloudvm/create", wish))
    cloud.settle()
    assert cloud.alice("cloudvm/setvncpwd", {"vm.id": opened["vm.id"]}).succeeded
    (task,) = entries(cloud)[0]["audit.startids"]
    assert rows(cloud.alice("cloudtask/search", {"startid": task}))[0]["task.name"] == "set console password"


def test_what_is_refused_has_an_entry_with_the_reason_and_nothing_else_has_happened(cloud: Cloud) -> None:
    assert not cloud.alice.call("PUT", "cloudvm/modify", {"vm.id": "vm-3", "vm.name": "mine now"}).succeeded
    (entry,) = entries(cloud, result="1")
    assert (entry["audit.resultcode"], entry["audit.resultinfo"]) == ("not_found", "VM vm-3 does not exist")
    assert ids(entry) == {"vm-3": "vm.id"}
    assert given(entry) == {"vm.id": "", "vm.name": ""}


@pytest.mark.parametrize(
    ("method", "path", "params", "code"),
    [
        ("POST", "cloudTenant/create", {"app.name": "x"}, "forbidden"),
        ("PUT", "cloudvm/cpu/modify", {"vm.id": "vm-1", "vm.vcpu.num": "many"}, "int_parsing"),
        ("POST", "cloudvm/snapshot/create", {"snapshot.vmid": "vm-1"}, "missing"),
        ("DELETE", "cloudvm/vm-404", None, "not_found"),
    ],
)
def test_every_kind_of_refusal_is_recorded(
    cloud: Cloud, method: str, path: str, params: dict[str, object] | None, code: str
) -> None:
    assert not cloud.alice.call(method, path, params).succeeded
    found = rows(cloud.platform("cloudaudit/search", {"page.startnum": 1, "page.everypagenum": 1, "audit.result": 1}))
    assert (found[0]["audit.resultcode"], found[0]["app.id"]) == (code, cloud.alice_id)


def test_reading_leaves_no_trace_and_nobody_but_the_platform_reads_it(cloud: Cloud) -> None:
    assert cloud.alice("cloudvm/search").succeeded
    assert not cloud.alice.call("GET", "cloudvm/vm-404").succeeded
    assert entries(cloud) == []
    assert "[forbidden]" in cloud.alice("cloudaudit/search", {"page.startnum": 1, "page.everypagenum": 1}).text


def test_an_entry_and_what_it_tells_of_are_there_together_or_not_at_all(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the log cannot be written")

    monkeypatch.setattr(witness, "success", broken)
    answer = cloud.alice.call("PUT", "cloudvm/modify", {"vm.id": "vm-1", "vm.name": "changed"})
    assert answer.status == 500
    with cloud.services.database.platform() as session:
        assert session.scalar(select(Vm.name).where(Vm.id == "vm-1")) != "changed"
    (entry,) = entries(cloud)
    assert (entry["audit.result"], entry["audit.resultcode"]) == ("1", "internal_error")
    assert "incident" in entry["audit.resultinfo"]


def test_a_flood_of_bad_tokens_is_one_entry_and_then_one_more(cloud: Cloud) -> None:
    for number in range(25):
        assert cloud.client(f"nonsense-{number}")("cloudvm/search").result == "1003"
    (entry,) = entries(cloud, result="1003")
    assert (entry["audit.count"], entry["audit.resultinfo"]) == ("1", "the token is unknown")
    assert (entry["audit.role"], entry["audit.address"]) == ("", "127.0.0.1")
    cloud.clock.advance(refusals.WINDOW.total_seconds())
    refusals.write(cloud.services.database, cloud.services.refusals.over(cloud.clock.now()))
    assert [one["audit.count"] for one in entries(cloud, result="1003")] == ["24", "1"]


def test_a_revoked_token_is_named(cloud: Cloud) -> None:
    made = fields(cloud.platform.call("PUT", "cloudTenant/token", {"app.id": cloud.alice_id}))
    revoke = {"app.id": cloud.alice_id, "token.action": "revoke", "token.id": made["token.id"]}
    assert cloud.platform.call("PUT", "cloudTenant/token", revoke).succeeded
    assert cloud.client(made["app.token"])("cloudvm/search").result == "1003"
    (entry,) = entries(cloud, result="1003")
    assert entry["token.id"] == made["token.id"]
    revoked, issued = entries(cloud, operation="cloudTenant/token")
    assert given(revoked) == {"app.id": "", "token.action": "revoke", "token.id": ""}
    assert ids(issued) == {cloud.alice_id: "app.id", made["token.id"]: "token.id"}


def test_no_text_of_the_caller_is_kept_but_ids(cloud: Cloud) -> None:
    token = fields(cloud.platform.call("PUT", "cloudTenant/token", {"app.id": cloud.alice_id}))["app.token"]
    asked: list[tuple[str, str, dict[str, object]]] = [
        ("PUT", "cloudTenant/token", {"app.id": cloud.alice_id, "token.action": "revoke", "token.id": token}),
        ("POST", "cloudvm/setadminpwd", {"vm.id": "vm-404", "pwd": "hunter2-hunter2", "secretid": "hunter2-hunter2"}),
        ("POST", "cloudvm/editvncpwd", {"vm.id": "vm-1", "vm.vncpasswd": "hunter2-hunter2"}),
        ("PUT", "cloudvm/modify", {"vm.id": "hunter2 hunter2!", "vm.name": "hunter2-hunter2"}),
        ("POST", "cloudhost/register", {
            "host.name": "h", "host.ip": "10.0.0.9", "host.exporter.url": "ftp://root:hunter2-hunter2@h/",
        }),
    ]  # fmt: skip
    for method, path, params in asked:
        client = cloud.platform if "Tenant" in path or "host" in path else cloud.alice
        assert not client.call(method, path, params).succeeded, path
    assert len(entries(cloud, result="1")) == len(asked)
    with cloud.services.database.platform() as session:
        kept = "".join(
            f"{entry.reason}{entry.parameters}{[one.object_id for one in entry.objects]}"
            for entry in session.scalars(select(AuditEntry).options(selectinload(AuditEntry.objects)))
        )
    assert "hunter2" not in kept
    assert token not in kept
    assert "token *** does not exist" in kept


def test_tenants_that_are_gone_stay_in_the_log(cloud: Cloud) -> None:
    made = fields(cloud.platform("cloudTenant/create", {"app.name": "short", "app.portgroup.quota": 1}))
    with cloud.client(made["app.token"]) as client:
        vpc = fields(client("cloudnetwork/vpc/create"))["vpc.id"]
        assert client("cloudnetwork/vpc/delete", {"vpc.id": vpc}).succeeded
    assert cloud.platform.call("DELETE", f"cloudTenant/{made['app.id']}").succeeded
    page = {"page.startnum": 1, "page.everypagenum": 30}
    found = rows(cloud.platform("cloudaudit/search", {"app.id": made["app.id"], **page}))
    assert [one["audit.operation"].rpartition("/")[2] for one in found] == ["delete", "create"]
    about = rows(cloud.platform("cloudaudit/search", {"audit.objid": made["app.id"], **page}))
    assert [one["audit.operation"] for one in about] == ["DELETE cloudTenant/{appid}", "POST cloudTenant/create"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ("", "10.9.9.9", "127.0.0.1"),
        ("127.0.0.0/8", "10.9.9.9", "10.9.9.9"),
        ("127.0.0.1, 10.8.0.0/16", "1.1.1.1, 10.9.9.9, 10.8.0.1", "10.9.9.9"),
        ("10.8.0.1", "10.9.9.9", "127.0.0.1"),
    ],
)
def test_a_proxy_is_believed_only_where_it_is_named(cloud: Cloud, proxies: str, forwarded: str, address: str) -> None:
    server = BackgroundServer("wire", cloud.app, [listen("127.0.0.1", 0)], trusted(proxies))
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}/starvcenter/services/cloudresource/cloudvm/vm-404"
        token = fields(cloud.platform.call("PUT", "cloudTenant/token", {"app.id": cloud.alice_id}))["app.token"]
        httpx.delete(url, headers={"KEY_TOKEN": token, "X-Forwarded-For": forwarded}, trust_env=False)
    finally:
        server.stop()
    assert entries(cloud, operation="DELETE")[0]["audit.address"] == address


def test_proxies_that_are_none_are_refused() -> None:
    with pytest.raises(Invalid, match="nowhere is neither an address nor a network"):
        trusted("10.0.0.1, nowhere")
    with pytest.raises(Invalid):
        trusted("*")
    assert trusted(" 10.0.0.1 ") == "10.0.0.1"


@pytest.fixture
def run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands that reach the cloud in this process."""

    def client(_url: str, token: str, *, language: str) -> StarVCenter:
        return cloud.client(token, language)

    monkeypatch.setattr("api.wire.client.StarVCenter", client)
    monkeypatch.setattr(cli_audit._console, "width", 200)
    return lambda *words: CliRunner().invoke(app, ["audit", *words, "--token", PLATFORM_TOKEN])


def test_the_command_shows_and_filters_many_pages(cloud: Cloud, run: Run) -> None:
    for number in range(70):
        assert cloud.alice.call("PUT", "cloudvm/modify", {"vm.id": f"vm-{number % 2 + 1}", "vm.name": "n"}).succeeded
    assert not cloud.bob.call("PUT", "cloudvm/start", {"vm.id": "vm-404"}).succeeded
    shown = run("--tenant", cloud.bob_id)
    assert shown.exit_code == 0, shown.output
    assert "failure: VM vm-404 does not exist" in shown.output
    assert cloud.bob_id in shown.output
    assert run("--object", "vm-1", "--json").output.count("cloudvm/modify") == 35
    assert run("--operation", "modify", "--limit", "45", "--json").output.count("\n") == 45
    assert run("--since", "2099-01-01 00:00:00", "--json").output == ""
    refused = run("--since", "yesterday")
    assert refused.exit_code == 1
    assert "audit.starttime" in refused.output
