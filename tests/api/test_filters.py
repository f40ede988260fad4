"""Access rules and security groups over the wire: spelling, required parameters, paging, and refusals in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from api.wire.client import StarVCenter
from tests.api.conftest import Cloud

PAGE = {"page.startnum": 1, "page.everypagenum": 30}
OPEN = {"aclrule.type": "net_inner", "allow.direction": "in"}


@dataclass
class Desk:
    """alice's; what she asks must succeed, and what is refused is refused in both languages."""

    cloud: Cloud
    english: StarVCenter
    ip: str = "192.168.0.1"

    def __call__(self, method: str, path: str, params: dict[str, object] | None = None) -> Any:
        answer = self.cloud.alice.call(method, path, params)
        assert answer.succeeded, answer.text
        return answer.data

    def group(self) -> str:
        made = self("POST", "cloudsegroup/create", {"securitygroup.name": "web", "securitygroup.desc": "front"})
        assert made.keys() == {"securitygroup.id"}
        return str(made["securitygroup.id"])

    def refused(self, path: str, params: dict[str, object], *words: str) -> None:
        for client in (self.cloud.alice, self.english):
            answer = client.call("POST", path, params)
            assert answer.result == "1"
            assert all(word in answer.text for word in words), answer.text


@pytest.fixture
def desk(cloud: Cloud) -> Desk:
    issued = cloud.platform.call("PUT", "cloudTenant/token", {"app.id": cloud.alice_id}).data
    assert isinstance(issued, dict)
    return Desk(cloud, cloud.client(issued["app.token"], language="en"))


def test_an_access_rule_is_added_found_and_deleted(desk: Desk) -> None:
    want = {
        "vm.ip": desk.ip, **OPEN, "aclrule.desc": "web", "allow.protocol": "TCP",
        "allow.internalport": "80:83,85,87", "allow.sourceips": "10.1.0.0/16,1.2.3.4", "allow.dstips": "",
    }  # fmt: skip
    made = desk("POST", "cloudnetwork/acessrule/add", want)
    assert made.keys() == {"rule.id"}
    (rule,) = desk("POST", "cloudnetwork/acessrule/search", {**PAGE, "aclrule_vmport": "85"})
    assert rule == {
        "aclrule_id": made["rule.id"], "aclrule_type": "net_inner", "aclrule_vrouteid": "", "aclrule_vnetid": "",
        "aclrule_target": desk.ip, "vmname": "web1", "aclrule_srcip": "1.2.3.4,10.1.0.0/16",
        "aclrule_vmport": "80:83,85,87", "aclrule_protocal": "tcp", "aclrule_appname": "alice",
        "aclrule_appid": desk.cloud.alice_id,
    }  # fmt: skip
    assert desk("DELETE", f"cloudnetwork/acessrule/{made['rule.id']}") == ""
    assert desk("POST", "cloudnetwork/acessrule/search", PAGE) == []


def test_access_rules_are_searched_by_page_only(desk: Desk) -> None:
    for _ in range(3):
        desk("POST", "cloudnetwork/acessrule/add", {"vm.ip": desk.ip, **OPEN})
    desk.refused("cloudnetwork/acessrule/search", {}, "page.startnum", "page.everypagenum")
    answer = desk.cloud.alice.call(
        "POST", "cloudnetwork/acessrule/search", {"page.startnum": 3, "page.everypagenum": 2}
    )
    assert isinstance(answer.data, list)
    assert (len(answer.data), answer.total) == (1, 3)


def test_the_gate_opens_and_closes(desk: Desk) -> None:
    vpc = desk("POST", "cloudnetwork/vpc/create", {"vpc.name": "n"})["vpc.id"]
    for state in ("open", "OPEN", "close", "close"):
        assert desk("POST", "cloudnetwork/netgate", {"portgroup.id": vpc, "type": state}) == ""
    desk.refused("cloudnetwork/netgate", {"portgroup.id": vpc, "type": "ajar"}, "type", "open", "close")


def test_refusals_name_the_parameter_and_what_is_allowed(desk: Desk) -> None:
    path, rule = "cloudnetwork/acessrule/add", {"vm.ip": desk.ip, **OPEN}
    for more, words in (
        ({"vm.ip": "fe80::1"}, ("vm.ip", "fe80::1", "IPv6", "IPv4")),
        ({"allow.sourceips": "::/0"}, ("allow.sourceips", "::/0", "IPv6")),
        ({"allow.dstips": "10.0.0.1"}, ("allow.dstips", "10.0.0.1", desk.ip)),
        ({"allow.internalport": "80"}, ("allow.protocol", "tcp", "udp")),
        ({"allow.internalport": "80-83", "allow.protocol": "tcp"}, ("allow.internalport", "80-83", "80:83,85,87")),
        ({"allow.protocol": "sctp"}, ("allow.protocol", "sctp", "tcp", "udp", "icmp")),
        ({"allow.direction": ""}, ("allow.direction", "in", "out")),
        ({"aclrule.type": "net"}, ("aclrule.type", "net_gate", "net_inner")),
    ):
        desk.refused(path, {**rule, **more}, *words)
    desk.refused(path, {"vm.ip": desk.ip, "aclrule.type": "net_gate"}, "nic-1")
    group = {"aclrule.securitygroupid": desk.group(), "aclrule.direction": "in"}
    for more, words in (
        ({"aclrule.srcip": "2001:db8::1"}, ("aclrule.srcip", "2001:db8::1", "IPv6")),
        ({"aclrule.target": "10.0.0.1"}, ("aclrule.target", "in")),
        ({"aclrule.vmport": "0", "aclrule.protocal": "udp"}, ("aclrule.vmport", "0", "1-65535")),
        ({"aclrule.vmport": "80", "aclrule.protocal": "icmp"}, ("aclrule.vmport", "icmp")),
    ):
        desk.refused("cloudsegroup/rule/add", {**group, **more}, *words)


def test_the_story_of_a_security_group(desk: Desk) -> None:
    group = desk.group()
    named = {"securitygroup.id": group}
    (shown,) = desk("POST", "cloudsegroup/search", {"securitygroup.name": "WEB"})
    assert shown.pop("securitygroup.createtime")
    assert shown == {
        **named, "securitygroup.name": "web", "securitygroup.desc": "front",
        "securitygroup.appid": desk.cloud.alice_id, "securitygroup.appname": "alice",
    }  # fmt: skip

    want = {
        "aclrule.securitygroupid": group, "aclrule.direction": "in", "aclrule.protocal": "tcp",
        "aclrule.vmport": "22", "aclrule.srcip": "10.0.0.0/8",
    }  # fmt: skip
    rule = desk("POST", "cloudsegroup/rule/add", want)["aclrule.id"]
    listed = {
        "aclrule_id": rule, "aclrule_srcip": "10.0.0.0/8", "aclrule_target": "", "aclrule_direction": "in",
        "aclrule_vmport": "22", "aclrule_protocal": "tcp", "aclrule_securitygroupid": group,
    }  # fmt: skip
    other = desk.group()
    assert desk("POST", "cloudsegroup/rule/search", {"aclrule.securitygroupid": f"{group},{other}"}) == [listed]

    assert desk("POST", "cloudsegroup/vnic/bind", {**named, "vnic.id": "nic-1, nic-2"}) == ""
    (nic,) = desk("POST", "cloudsegroup/vnic/search", {**named, "vnic.ipaddress": desk.ip})
    assert (nic["vnic.id"], nic["vnic.vmid"], nic["vnic.vpc.name"]) == ("nic-1", "vm-1", "")
    (of_vm,) = desk("POST", "cloudsegroup/rule/vm", {"vm.id": "vm-1"})
    assert of_vm == {**listed, "aclrule_securitygroupname": "web", "aclrule_status": "false"}

    late = desk("POST", "cloudsegroup/retryrule/search", named)
    assert {issue["vm.id"] for issue in late} == {"vm-1", "vm-2"}
    assert {(issue["aclrule.id"], issue["retry.num"]) for issue in late} == {(rule, "0")}
    assert all(issue["issue.id"] for issue in late)
    assert desk("PUT", "cloudsegroup/retryrule/reset") == ""

    answer = desk.cloud.alice.call("DELETE", f"cloudsegroup/{group}")
    assert "web1, web2" in answer.text
    assert "[conflict]" in answer.text
    assert desk("POST", "cloudsegroup/vnic/unbind", {**named, "vnic.id": "nic-1,nic-2"}) == ""
    assert desk("DELETE", f"cloudsegroup/rule/{rule}") == ""
    assert desk("DELETE", f"cloudsegroup/{group}") == ""


def test_one_of_several_nics_of_another_tenant_is_not_found_and_none_is_bound(desk: Desk) -> None:
    group = {"securitygroup.id": desk.group()}
    desk.refused("cloudsegroup/vnic/bind", {**group, "vnic.id": "nic-1,nic-3"}, "nic-3")
    assert desk("POST", "cloudsegroup/vnic/search", group) == []
