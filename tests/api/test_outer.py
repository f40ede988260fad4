"""Pools, routers and mappings over the wire, in the order in which people need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from api.wire.client import StarVCenter
from tests.api.conftest import Cloud

QUOTA = {
    "app.cpu.quota": 20, "app.memory.quota": 40_000, "app.storage.quota": 1000, "app.portgroup.quota": 2,
    "app.outerip.quota": 5,
}  # fmt: skip
POOL = {"pool.addresses": "203.0.113.0/28", "pool.gateway": "203.0.113.1"}
PAGE = {"page.startnum": 1, "page.everypagenum": 30}


@dataclass
class Outside:
    """A tenant with a router before its network, and a VM behind it, called web."""

    cloud: Cloud
    client: StarVCenter
    tenant: str
    router: str
    vpc: str
    vm: str
    ip: str

    def __call__(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Any:
        answer = self.client.call(method, path, params)
        assert answer.succeeded, answer.text
        return answer.data

    def refused(self, method: str, path: str, params: Mapping[str, object] | None = None) -> str:
        answer = self.client.call(method, path, params)
        assert answer.result == "1"
        return answer.text

    def port(self, outer: object = 8080, **more: object) -> dict[str, object]:
        return {
            "innerIp": self.ip, "innerPort": 80, "ipaddress": "203.0.113.9", "outerPort": outer, "protocal": "TCP",
            **more,
        }  # fmt: skip

    def outer_ips_left(self) -> int:
        left: int = self("POST", "resourcequota/usableQuota", {"tenant.id": self.tenant})["outerIpSize"]
        return left


@pytest.fixture
def outside(cloud: Cloud) -> Outside:
    cloud.connect()
    pool = cloud.platform.call("POST", "cloudip/pool/create", POOL).data
    assert isinstance(pool, dict)
    assert (pool["pool.size"], pool["pool.netmask"]) == ("13", "255.255.255.240")
    made: Any = cloud.platform.call("POST", "cloudTenant/create", {"app.name": "shop", **QUOTA}).data
    out = Outside(cloud, cloud.client(made["app.token"]), made["app.id"], "", "", "", "")
    out.vpc = out("POST", "cloudnetwork/vpc/create", {"vpc.name": "front"})["vpc.id"]
    (machine,) = out("POST", "vroute/create", {"vroute.name": "edge", "vroute.manageip": "203.0.113.2"})
    assert (machine["vm.name"], machine["vm.manageip"]) == ("edge", "203.0.113.2")
    out.router = machine["vm.id"]
    assert "[conflict]" in out.refused("POST", "vroute/vpcAdd", {"portgroup.id": out.vpc})
    cloud.settle()
    (task,) = out("POST", "cloudtask/search", {"startid": machine["jobstartid"]})
    assert (task["task.result"], task["task.objtype"], task["task.objid"]) == ("0", "router", out.router)
    assert out("POST", "vroute/vpcAdd", {"portgroup.id": out.vpc}) is None
    want = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": out.vpc}
    out.vm = out("POST", "cloudvm/create", {**want, "vm.name": "web"})[0]["vm.id"]
    cloud.settle()
    out.ip = out("POST", "cloudvm/vnic/search", {"vnic.vmid": out.vm})[0]["vnic.ipaddress"]
    return out


def test_a_vm_is_connected_found_and_disconnected(outside: Outside) -> None:
    wish = {"vm.id": outside.vm, "vm.allow.srcip": "10.0.0.0/8,192.0.2.1", "desc": "shop"}
    assert outside("POST", "cloudnetwork/sharenet/connect", wish) == {"tenant.shareip": "203.0.113.3"}
    assert outside.outer_ips_left() == 3
    answer = outside.client.call("POST", "cloudnetwork/sharenet/search", {**PAGE, "vm.name": "WE"})
    assert answer.total == 1
    assert isinstance(answer.data, list)
    (found,) = answer.data
    assert found == {
        "nat.id": found["nat.id"], "vm.id": outside.vm, "vm.name": "web", "tenant.shareip": "203.0.113.3",
    }  # fmt: skip
    (nat,) = outside("POST", "vroute/Mapping/search", {"natType": "ip"})
    assert nat == {
        "nat_outerport": "", "nat_id": found["nat.id"], "nat_protocal": "", "nat_usedtime": nat["nat_usedtime"],
        "nat_innerport": "", "nat_innerip": outside.ip, "net_vmid": outside.vm, "net_vmname": "web", "nat_type": "ip",
        "nat_vnetid": outside.vpc, "nat_outerip": "203.0.113.3", "nat_vrouteid": outside.router, "nat_desc": "shop",
        "nat_srcip": "10.0.0.0/8,192.0.2.1",
    }  # fmt: skip
    assert outside("DELETE", f"cloudnetwork/ipmapping/{found['nat.id']}") == {}
    assert outside.outer_ips_left() == 4


def test_ports_are_mapped_found_and_unmapped(outside: Outside) -> None:
    assert outside("POST", "cloudnetwork/portMapping/create", outside.port(sourceIp="10.1.0.0/16", desc="d")) == ""
    outside("POST", "cloudnetwork/portMapping/create", outside.port("53", protocal="udp"))
    (nat,) = outside("POST", "vroute/Mapping/search", {"natOuterport": "8080", "natInnerport": 80})
    assert (nat["nat_type"], nat["nat_protocal"], nat["nat_outerport"]) == ("port", "tcp", "8080")
    assert (nat["nat_srcip"], nat["nat_desc"]) == ("10.1.0.0/16", "d")
    (ip,) = outside("POST", "cloudip/mapping/outerIp/search", {"ipaddress.only": "203.0.113.9"})
    assert ip == {
        "ipaddress": "203.0.113.9", "ports": "53,8080", "gateway": "203.0.113.1", "netmask": "255.255.255.240",
    }  # fmt: skip
    for mapping in outside("POST", "vroute/Mapping/search"):
        outside("DELETE", f"cloudnetwork/ipmapping/{mapping['nat_id']}")
    assert outside.outer_ips_left() == 4


def test_ports_are_absent_for_ip_mappings_and_empty_for_unused_ones(outside: Outside) -> None:
    path = "cloudip/mapping/outerIp/search"
    for_ips = outside("POST", path, {"nat.type": "ip"})
    assert len(for_ips) == 12
    assert all(row.keys() == {"ipaddress", "gateway", "netmask"} for row in for_ips)
    for_ports = outside("POST", path, {"nat.type": "port", "inner.ip": outside.ip, "ipaddress": "113.1"})
    assert {row["ports"] for row in for_ports} == {""}
    page = outside.client.call("POST", path, {"page.startnum": 13, "page.everypagenum": 5})
    assert (page.total, page.data) == (13, [for_ips[-1] | {"ports": ""}])


def test_paging_is_needed_where_the_document_stars_it(outside: Outside) -> None:
    assert "page.startnum" in outside.refused("POST", "cloudnetwork/sharenet/search", {"page.everypagenum": 5})
    assert "page.everypagenum" in outside.refused("POST", "vroute/Mapping/search", {"page.startnum": 1})
    assert outside("POST", "vroute/Mapping/search", PAGE) == outside("POST", "vroute/Mapping/search") == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"innerIp": "2001:db8::1"}, "innerIp"),
        ({"innerIp": "10.0.0"}, "innerIp"),
        ({"innerPort": 0}, "innerPort"),
        ({"outerPort": 65536}, "outerPort"),
        ({"outerPort": "80:81"}, "outerPort"),
        ({"protocal": "icmp"}, "protocal"),
        ({"ipaddress": "203.0.113.1"}, "ipaddress"),
        ({"sourceIp": "10.0.0.0/33"}, "sourceIp"),
        ({"sourceIp": "::/0"}, "sourceIp"),
        ({"innerIp": None}, "innerIp"),
    ],
)
def test_what_is_wrong_with_a_port_mapping_is_named(outside: Outside, change: dict[str, object], named: str) -> None:
    text = outside.refused("POST", "cloudnetwork/portMapping/create", {**outside.port(), **change})
    assert f"参数 {named} " in text
    assert not any(word in text.split("[")[0] for word in ("allowed", " is ", " of ")), "all of it is Chinese"


def test_a_port_in_use_and_an_ip_in_use_are_named_in_both_languages(outside: Outside) -> None:
    outside("POST", "cloudnetwork/portMapping/create", outside.port())
    text = outside.refused("POST", "cloudnetwork/portMapping/create", outside.port())
    assert f"参数 outerPort 203.0.113.9 的 8080/tcp 已映射到 {outside.ip}:80" in text
    wish = {"vm.id": outside.vm, "vm.outer.ipaddress": "203.0.113.9"}
    assert "参数 vm.outer.ipaddress 203.0.113.9 已有端口在使用" in outside.refused(
        "POST", "cloudnetwork/sharenet/connect", wish
    )
    assert "vroute.manageip" in outside.refused("POST", "vroute/create", {"vroute.manageip": "203.0.113.9"})


def test_a_router_is_read_searched_and_deleted_when_nothing_needs_it(outside: Outside) -> None:
    shown = outside("GET", f"vroute/{outside.router}")
    assert shown == {
        "vroute.id": outside.router, "vroute.name": "edge", "vroute.desc": "", "vroute.online": shown["vroute.online"],
        "vroute.createtime": shown["vroute.createtime"], "vroute.register.address": "203.0.113.2",
        "vroute.manageip": "203.0.113.2",
    }  # fmt: skip
    assert shown["vroute.online"] in {"true", "false"}
    (found,) = outside("POST", "vroute/search", {"vroute.name": "ed"})
    assert found == shown | {"vroute.vmids": [outside.router], "vroute.vpcids": [outside.vpc]}
    assert "front" in outside.refused("DELETE", f"vroute/{outside.router}")
    named = {"vpc.id": outside.vpc}
    assert "web" in outside.refused("POST", "cloudnetwork/vpc/delete", named)
    outside("POST", "cloudnetwork/sharenet/connect", {"vm.id": outside.vm})
    assert "web" in outside.refused("POST", "vroute/vpcDelete", {"portgroup.id": outside.vpc})
    outside("PUT", "cloudvm/destroy", {"vm.id": outside.vm})
    outside.cloud.settle()
    outside("DELETE", f"cloudvm/{outside.vm}")
    outside.cloud.settle()
    assert outside("POST", "vroute/Mapping/search") == []
    assert "edge" in outside.refused("POST", "cloudnetwork/vpc/delete", named)
    assert outside("POST", "vroute/vpcDelete", {"portgroup.id": outside.vpc}) is None
    outside("POST", "cloudnetwork/vpc/delete", named)
    assert outside("DELETE", f"vroute/{outside.router}") == ""
    assert outside.outer_ips_left() == 5


def test_a_highly_available_router_is_two_machines_with_a_task_each(outside: Outside) -> None:
    first, second = outside("POST", "vroute/create", {"vroute.ha.enable": "true"})
    assert first["vm.manageip"] == second["vm.manageip"] == "203.0.113.3"
    assert len({first["vm.id"], second["vm.id"], first["jobstartid"], second["jobstartid"]}) == 4
    outside.cloud.settle()
    assert outside("GET", f"vroute/{second['vm.id']}")["vroute.id"] == first["vm.id"]
    vpc = outside("POST", "cloudnetwork/vpc/create")["vpc.id"]
    assert "vroute.id" in outside.refused("POST", "vroute/vpcAdd", {"portgroup.id": vpc})
    outside("POST", "vroute/vpcAdd", {"portgroup.id": vpc, "vroute.id": second["vm.id"]})
    assert "portgroup.id" in outside.refused("POST", "vroute/vpcAdd", {})


def test_the_pool_counts_what_the_platform_can_give(outside: Outside) -> None:
    quota = outside.cloud.platform.call("POST", "resourcequota/search").data
    assert isinstance(quota, dict)
    assert quota["ip"] == 13
    listed: Any = outside.cloud.platform.call("POST", "cloudip/pool/search").data
    assert [(pool["pool.first"], pool["pool.taken"]) for pool in listed] == [("203.0.113.2", "1")]
