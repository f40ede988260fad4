"""Load balancers over the wire: spelling, limits, enumerations, paging, and keys that nobody is shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.wire.client import Answer, StarVCenter
from tests.api.conftest import Cloud
from tests.support.pem import YEAR, pem
from tests.support.state import contents

QUOTA = {
    "app.cpu.quota": 20, "app.memory.quota": 40_000, "app.storage.quota": 1000, "app.portgroup.quota": 2,
    "app.outerip.quota": 5,
}  # fmt: skip
PAIR = pem()
DEFAULTS = {
    "slb.desc": "", "slb.directip.self": "true", "slb.enable": "true", "slb.http.urlpath": "/",
    "slb.policy.type": "rr", "slb.health.retrytime": "3", "slb.health.check.interval": "5",
    "slb.health.check.timeout": "5", "slb.health.emptylink.timeout": "60", "slb.health.check.path": "/",
    "slb.maxoccurs": "1000",
}  # fmt: skip


@dataclass
class Edge:
    """A tenant with a router, and a VM behind it."""

    cloud: Cloud
    client: StarVCenter
    chinese: StarVCenter
    tenant: str
    router: str
    vm: str
    ip: str

    def __call__(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Any:
        answer = self.client.call(method, path, params)
        assert answer.succeeded, answer.text
        return answer.data

    def wish(self, **more: object) -> dict[str, object]:
        named = {name.replace("_", "."): value for name, value in more.items()}
        return {
            "slb.name": "web", "slb.appid": self.tenant, "slb.protocal.type": "HTTP", "slb.network.type": "outter",
            "slb.directip": "203.0.113.9", "slb.directport": 80, "slb.vmid": self.router, **named,
        }  # fmt: skip

    def node(self, port: object = 8080) -> dict[str, object]:
        return {"realnode.ip": self.ip, "realnode.port": port, "realnode.vmid": self.vm}

    def add(self, **more: object) -> str:
        made = self("POST", "cloudslb/add", self.wish(**more))
        assert made.keys() == {"slb.id"}
        return str(made["slb.id"])

    def shown(self, id_: str) -> dict[str, str]:
        (found,) = self("POST", "cloudslb/search", {"slb.id": id_})
        assert isinstance(found, dict)
        return found

    def refused(self, method: str, path: str, params: Mapping[str, object]) -> str:
        answer = self.client.call(method, path, params)
        assert answer.result == "1"
        return answer.text


@pytest.fixture
def edge(cloud: Cloud) -> Edge:
    cloud.connect()
    made = cloud.platform("cloudTenant/create", {"app.name": "shop", **QUOTA}).data
    pool = cloud.platform("cloudip/pool/create", {"pool.addresses": "203.0.113.0/28", "pool.gateway": "203.0.113.1"})
    assert pool.succeeded, pool.text
    assert isinstance(made, dict)
    client, chinese = (cloud.client(str(made["app.token"]), language) for language in ("en", "zh"))

    def ask(path: str, params: dict[str, object]) -> Any:
        answer: Answer = client.call("POST", path, params)
        assert answer.succeeded, answer.text
        cloud.settle()
        return answer.data

    vpc = ask("cloudnetwork/vpc/create", {})["vpc.id"]
    router = ask("vroute/create", {"vroute.name": "edge", "vroute.manageip": "203.0.113.2"})[0]["vm.id"]
    ask("vroute/vpcAdd", {"portgroup.id": vpc})
    want = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc}
    vm = ask("cloudvm/create", want)[0]["vm.id"]
    ip = ask("cloudvm/search", {"vm.id": vm})[0]["vm.ip"]
    return Edge(cloud, client, chinese, str(made["app.id"]), router, vm, ip)


def test_the_story(edge: Edge) -> None:
    id_ = edge.add(realnode=[edge.node(), {**edge.node(8081), "realnode.weight": "10", "realnode.slbid": "ignored"}])
    assert id_ == f"slb_{edge.router}"
    shown = edge.shown(id_)
    assert shown.pop("slb.createtime") == "2026-01-01 08:00:00"
    assert shown == {
        **DEFAULTS, "slb.id": id_, "slb.name": "web", "slb.appid": edge.tenant, "slb.vmid": edge.router,
        "slb.protocal.type": "http", "slb.network.type": "outter", "slb.directip": "203.0.113.9",
        "slb.directport": "80", "slb.realport": "80", "slb.https.cert.enable": "false",
    }  # fmt: skip
    named: dict[str, object] = {"slb.id": id_}
    new = {"slb.name": "app", "slb.desc": "d", "slb.directport": 81, "slb.policy.type": "WLC", "slb.maxoccurs": "10000"}
    assert edge("PUT", "cloudslb/modify", {**named, **new}) == ""
    changed = edge.shown(id_)
    assert {name: changed[name] for name in new} == {**new, "slb.directport": "81", "slb.policy.type": "wlc"}
    for path, enabled in (("stop", "false"), ("stop", "false"), ("start", "true"), ("start", "true")):
        assert edge("POST", f"cloudslb/{path}", named) == ""
        assert edge.shown(id_)["slb.enable"] == enabled
    assert edge("PUT", "cloudslb/modify", {**named, "slb.desc": ""}) == ""
    assert edge.shown(id_)["slb.desc"] == ""
    assert "slb.name" in edge.refused("PUT", "cloudslb/modify", {**named, "slb.name": ""})
    assert edge("DELETE", f"cloudslb/{id_}") == ""
    assert edge("POST", "cloudslb/search") == edge("POST", "cloudslb/realnode/search") == []


def test_the_story_of_nodes(edge: Edge) -> None:
    balancer = edge.add()
    made = edge("POST", "cloudslb/realnode/add", {"realnode.slbid": balancer, "realnode.name": "n", **edge.node()})
    (node,) = edge("POST", "cloudslb/realnode/search")
    assert node == {
        **made, "realnode.name": "n", "realnode.desc": "", "realnode.createtime": "2026-01-01 08:00:00",
        "realnode.slbid": balancer, "realnode.enable": "true", "realnode.ip": edge.ip, "realnode.port": "8080",
        "realnode.vmid": edge.vm, "realnode.weight": "1", "realnode.healthy": "",
    }  # fmt: skip
    assert edge("PUT", "cloudslb/realnode/modify", {**made, "realnode.port": 1, "realnode.weight": 10}) == ""
    (node,) = edge("POST", "cloudslb/realnode/search", {"realnode.ip": edge.ip, "realnode.port": 1})
    assert node["realnode.weight"] == "10"
    again = {"realnode.slbid": balancer, **edge.node(1)}
    assert "has the node" in edge.refused("POST", "cloudslb/realnode/add", again)
    assert edge("DELETE", f"cloudslb/realnode/{made['realnode.id']}") == ""
    assert edge("POST", "cloudslb/realnode/search") == []


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("slb.directport", 50, 65_535),
        ("slb.realport", 1, 65_535),
        ("slb.health.retrytime", 2, 10),
        ("slb.health.check.interval", 1, 50),
        ("slb.health.check.timeout", 1, 300),
        ("slb.health.emptylink.timeout", 1, 120),
        ("slb.maxoccurs", 10, 10_000),
    ],
)
def test_numbers_have_their_ranges(edge: Edge, name: str, low: int, high: int) -> None:
    allowed = f"parameter {name} is out of range, got %s; allowed: an integer from {low} to {high}"
    for number in (low - 1, high + 1):
        assert edge.refused("POST", "cloudslb/add", edge.wish() | {name: number}) == allowed % number
    assert f"parameter {name} must be an integer" in edge.refused("POST", "cloudslb/add", edge.wish() | {name: "x"})
    for number in (low, high):
        id_ = edge("POST", "cloudslb/add", edge.wish() | {name: str(number)})["slb.id"]
        assert edge.shown(id_)[name] == str(number)
        if name != "slb.realport":
            out = edge.refused("PUT", "cloudslb/modify", {"slb.id": id_, name: high + 1})
            assert out == allowed % (high + 1)
            edge("PUT", "cloudslb/modify", {"slb.id": id_, name: low})
        edge("DELETE", f"cloudslb/{id_}")


@pytest.mark.parametrize(
    ("name", "values", "spelt"),
    [
        ("slb.protocal.type", ("TCP", "Udp", "http"), "TCP, UDP, HTTP, HTTPS"),
        ("slb.policy.type", ("RR", "wrr", "Wlc"), "rr, wrr, wlc"),
        ("slb.network.type", ("OUTTER", "outter"), "outter, inner"),
        ("slb.directip.self", ("TRUE", "false", True), None),
    ],
)
def test_choices_are_taken_in_any_case_and_shown_in_lower_case(
    edge: Edge, name: str, values: tuple[object, ...], spelt: str | None
) -> None:
    for value in values:
        id_ = edge("POST", "cloudslb/add", edge.wish() | {name: value})["slb.id"]
        assert edge.shown(id_)[name] == str(value).lower()
        edge("DELETE", f"cloudslb/{id_}")
    text = edge.refused("POST", "cloudslb/add", edge.wish() | {name: "outer"})
    if spelt:
        assert text == f'parameter {name} is not one of the allowed values, got "outer"; allowed: one of {spelt}'
    else:
        assert f"parameter {name} must be true or false" in text


def test_nodes_have_their_ranges_and_name_their_place(edge: Edge) -> None:
    balancer = edge.add(slb_directip_self="false")
    for name, low, high in (("realnode.port", 1, 65_535), ("realnode.weight", 1, 10)):
        allowed = f"parameter %s is out of range, got {high + 1}; allowed: an integer from {low} to {high}"
        single = {"realnode.slbid": balancer, **edge.node(), name: high + 1}
        assert edge.refused("POST", "cloudslb/realnode/add", single) == allowed % name
        assert edge.refused("PUT", "cloudslb/realnode/modify", {"realnode.id": "x", name: high + 1}) == allowed % name
        within = edge.wish(slb_directport=81, realnode=[edge.node(), {**edge.node(1), name: high + 1}])
        assert edge.refused("POST", "cloudslb/add", within) == allowed % f"realnode[1].{name}"
    for path, wish in (
        ("cloudslb/realnode/add", {"realnode.slbid": balancer, **edge.node()}),
        ("cloudslb/add", edge.wish(slb_directport=81, slb_directip_self="false", realnode=[edge.node()])),
    ):
        inner: Any = wish.get("realnode", [wish])
        inner[0]["realnode.ip"] = "10.9.9.9"
        assert "parameter realnode.ip 10.9.9.9 is no address of VM" in edge.refused("POST", path, wish)


def test_refusals_name_what_the_caller_wrote(edge: Edge) -> None:
    refusals: tuple[tuple[dict[str, object], str], ...] = (
        ({"slb.directip": "::1"}, "parameter slb.directip ::1 is IPv6"),
        ({"slb.directip": "203.0.113.99"}, "parameter slb.directip 203.0.113.99 is not a free outer IP"),
        ({"slb.directip": "203.0.113.2"}, "parameter slb.directip 203.0.113.2 is the address of its router"),
        ({"slb.http.urlpath": "x"}, "parameter slb.http.urlpath is not the path of a URL"),
        ({"slb.health.check.path": "/ x"}, "parameter slb.health.check.path is not the path of a URL"),
        ({"slb.id": "mine"}, "parameter slb.id does not begin with that of its router"),
        ({"slb.protocal.type": "https"}, "parameter slb.https.cert.text is missing"),
        ({"slb.https.cert.key": "k"}, "parameter slb.https.cert.key does not go with http"),
        ({"slb.appid": "tenant-other"}, "tenant tenant-other does not exist"),
        ({"slb.vmid": "vm-1"}, "router vm-1 does not exist"),
        ({"slb.name": ""}, "parameter slb.name is required"),
    )
    for changes, text in refusals:
        wish = {**edge.wish(), **changes}
        assert text in edge.refused("POST", "cloudslb/add", wish)
        chinese = edge.chinese.call("POST", "cloudslb/add", wish).text
        assert "；允许：" in chinese or "不存在" in chinese
        assert " is " not in chinese


def test_searches_have_pages_orders_and_counts(edge: Edge) -> None:
    for number, name in enumerate(("beta", "alpha", "gamma")):
        edge.add(slb_name=name, slb_directport=80 + number, slb_directip_self="false")
        edge.cloud.clock.advance(1)
    balancer = f"slb_{edge.router}"
    for number, name in enumerate(("beta", "alpha", "gamma")):
        edge(
            "POST",
            "cloudslb/realnode/add",
            {"realnode.slbid": balancer, "realnode.name": name, **edge.node(80 + number)},
        )
        edge.cloud.clock.advance(1)
    for path, prefix in (("cloudslb/search", "slb"), ("cloudslb/realnode/search", "realnode")):

        def asked(path: str = path, prefix: str = prefix, **params: object) -> tuple[list[str], int | None]:
            named = {name.replace("_", "."): value for name, value in params.items()}
            answer = edge.client.call("POST", path, named)
            assert isinstance(answer.data, list), answer.text
            return [one[f"{prefix}.name"] for one in answer.data], answer.total

        everything = ["gamma", "alpha", "beta"]
        assert asked()[0] == asked(search_orderby="CREATETIME")[0] == everything
        assert asked(search_orderby="name")[0] == ["alpha", "beta", "gamma"]
        assert asked(page_startnum=2, page_everypagenum=2) == (everything[1:], 3)
        assert asked(page_startnum="4", page_everypagenum="30") == ([], 3)
        for bad in ({"page.startnum": 1}, {"page.startnum": 1, "page.everypagenum": 31}, {"search.orderby": "size"}):
            assert "parameter" in edge.refused("POST", path, dict(bad))


def test_the_start_of_a_page_may_be_its_number(make_cloud: Any) -> None:
    cloud: Cloud = make_cloud(page_numbers=True)
    answer = cloud.alice.call("POST", "cloudslb/search", {"page.startnum": 2, "page.everypagenum": 1})
    assert (answer.data, answer.total) == ([], 0)


def test_certificates_are_checked_replaced_and_told_truly(edge: Edge) -> None:
    secure = {"slb_protocal_type": "HTTPS", "slb_https_cert_text": PAIR.chain, "slb_https_cert_key": PAIR.key}
    id_ = edge.add(**secure)
    assert edge.shown(id_)["slb.https.cert.enable"] == "true"
    conf = {"slb.id": id_, "slb.https.cert.text": PAIR.chain, "slb.https.cert.key": PAIR.key}
    assert edge("PUT", "cloudslb/https/cert/conf", conf) == ""
    edge.cloud.clock.advance(YEAR.total_seconds() + 1)
    assert edge.shown(id_)["slb.https.cert.enable"] == "false"
    path = "cloudslb/https/cert/conf"
    assert "parameter slb.https.cert.text has expired: 2027-01-01" in edge.refused("PUT", path, conf)
    other = pem()
    text = edge.refused("PUT", path, {**conf, "slb.https.cert.key": other.key})
    assert text.startswith("parameter slb.https.cert.key does not belong to the certificate")
    four_dashes = other.chain.replace("-----BEGIN CERTIFICATE-----", "----BEGIN CERTIFICATE ----")
    text = edge.refused("PUT", path, {**conf, "slb.https.cert.text": four_dashes})
    assert text.startswith("parameter slb.https.cert.text is not a certificate; allowed: PEM")
    plain = edge.add(slb_directip="203.0.113.10")
    assert "its protocol is http" in edge.refused("PUT", path, {**conf, "slb.id": plain})


def test_a_key_is_in_no_answer_no_log_and_no_file(
    edge: Edge, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secure = {"slb.protocal.type": "HTTPS", "slb.https.cert.text": PAIR.chain, "slb.https.cert.key": PAIR.key}
    with caplog.at_level(logging.DEBUG):
        id_ = edge("POST", "cloudslb/add", {**edge.wish(), **secure})["slb.id"]
        both: dict[str, object] = {"slb.id": id_, **{name: PAIR.key for name in secure if "cert" in name}}
        told = [edge.refused("PUT", "cloudslb/https/cert/conf", both)]
        told += [edge.refused("POST", "cloudslb/add", {**edge.wish(), **secure}), str(edge.shown(id_))]
        too_long: dict[str, object] = {**both, "slb.https.cert.key": PAIR.key * 1000}
        told += [edge.refused("PUT", "cloudslb/https/cert/conf", too_long)]
    told += [caplog.text, *capfd.readouterr()]
    told += [file.read_bytes().decode("latin-1") for file in _files(edge.cloud.services.settings.data_dir)]
    told += [contents(edge.cloud.services.database)]
    assert len(told) > 8
    assert not [text for text in told if PAIR.secret in text]
    assert [text for text in told if PAIR.chain.splitlines()[1] in text], "the certificate itself is in the database"


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_inner_balancers_listen_in_a_network_of_the_router(edge: Edge) -> None:
    gateway = edge.ip.rpartition(".")[0] + ".1"
    id_ = edge.add(slb_network_type="INNER", slb_directip=gateway)
    shown = edge.shown(id_)
    assert (shown["slb.network.type"], shown["slb.directip.self"], shown["slb.directip"]) == ("inner", "false", gateway)
    found = edge("POST", "cloudslb/search", {"slb.network.type": "Inner", "slb.protocal.type": "HTTP"})
    assert [one["slb.id"] for one in found] == [id_]
    assert edge("POST", "cloudslb/search", {"slb.network.type": "outter"}) == []
