"""Tenants, hosts and VMs through the wire, from one end to the other."""

from __future__ import annotations

import re
from typing import Any

from tests.api.conftest import Cloud


def _rows(data: object) -> list[dict[str, Any]]:
    assert isinstance(data, list)
    return data


def test_a_tenant_is_created_found_used_and_deleted(cloud: Cloud) -> None:
    made: Any = cloud.platform("cloudTenant/create", {"app.name": " 网站 ", "app.cpu.quota": "8", "app.desc": ""}).data
    (row,) = _rows(cloud.platform("cloudTenant/search", {"app.id": made["app.id"]}).data)
    assert (row["app.name"], row["app.cpu.quota"], row["app.desc"]) == ("网站", "8", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["app.createtime"])
    assert row["app.createtime"] == "2026-01-01 08:00:00"
    assert cloud.client(made["app.token"])("cloudvm/search").data == []
    assert cloud.platform.call("DELETE", f"cloudTenant/{made['app.id']}").succeeded
    assert cloud.client(made["app.token"])("cloudvm/search").result == "1003"


def test_a_tenant_that_owns_vms_is_not_deleted(cloud: Cloud) -> None:
    answer = cloud.platform.call("DELETE", f"cloudTenant/{cloud.alice_id}")
    assert answer.result == "1"
    assert "仍拥有" in answer.text
    assert "[conflict]" in answer.text


def test_tokens_are_issued_listed_and_never_shown_again(cloud: Cloud) -> None:
    issued: Any = cloud.platform("cloudTenant/token", {"app.id": cloud.alice_id}).data
    assert set(issued) == {"token.id", "app.token"}
    listed = _rows(cloud.platform("cloudTenant/token", {"app.id": cloud.alice_id, "token.action": "list"}).data)
    assert len(listed) == 2
    assert all(set(row) == {"token.id", "token.createtime", "token.lastusedtime"} for row in listed)


def test_a_host_is_registered_maintained_and_deleted(cloud: Cloud) -> None:
    want = {"host.name": "n9", "host.ip": "10.9.9.9", "host.exporter.url": "http://10.9.9.9:9100/metrics"}
    made: Any = cloud.platform("cloudhost/register", want).data
    mending = {"host.id": made["host.id"], "host.ismending": "true", "host.desc": "换内存"}
    assert cloud.platform("cloudhost/maintenance", mending).data == ""
    (row,) = _rows(cloud.platform("cloudhost/search", {"host.ip": "10.9.9.9"}).data)
    assert (row["host.ismending"], row["host.desc"], row["host.authentication"]) == ("true", "换内存", "1")
    assert row["host.register.address"] == "10.9.9.9"
    assert cloud.platform.call("DELETE", f"cloudhost/{made['host.id']}").succeeded
    assert "[conflict]" in cloud.platform.call("DELETE", "cloudhost/host-1").text


def test_hosts_have_memory_in_gigabytes(cloud: Cloud) -> None:
    (row,) = _rows(cloud.platform("cloudhost/search", {"host.id": "host-1"}).data)
    assert (row["host.mem.size"], row["host.cpu.num"], row["host.cpus"]) == ("128", "32", "2")


def test_vms_are_found_by_their_documented_filters(cloud: Cloud) -> None:
    def found(**filters: object) -> list[str]:
        names = {key.replace("_", "."): value for key, value in filters.items()}
        return [row["vm.id"] for row in _rows(cloud.platform("cloudvm/search", names).data)]

    assert sorted(found()) == ["vm-1", "vm-2", "vm-3"]
    assert found(vm_name="WEB3") == ["vm-3"]
    assert found(vm_ip="192.168.0.2") == ["vm-2"]
    assert found(vm_state=0) == []
    assert found(vm_hostid="host-2") == []


def test_pages_are_counted(cloud: Cloud) -> None:
    answer = cloud.platform("cloudvm/search", {"page.startnum": "2", "page.everypagenum": "1"})
    assert (len(_rows(answer.data)), answer.total) == (1, 3)
    beyond = cloud.platform("cloudvm/search", {"page.startnum": 9, "page.everypagenum": 30})
    assert (beyond.data, beyond.total) == ([], 3)


def test_a_vm_reads_like_its_row_in_the_search(cloud: Cloud) -> None:
    detail = cloud.alice.call("GET", "cloudvm/vm-1").data
    assert isinstance(detail, dict)
    assert detail in _rows(cloud.alice("cloudvm/search").data)
    assert (detail["vm.state"], detail["vm.vcpu.num"], detail["vm.reboot.enable"]) == ("1", "2", "true")


def test_alarm_search_demands_paging_unless_told_otherwise(cloud: Cloud) -> None:
    assert "page.startnum" in cloud.alice("cloudalarm/search").text
    assert cloud.alice("cloudalarm/search", {"page.startnum": 1, "page.everypagenum": 30}).total == 0
    for everything in (True, "true", "TRUE"):
        assert cloud.alice("cloudalarm/search", {"isfindPage": everything}).data == []
    assert cloud.alice("cloudalarm/search", {"isfindPage": "true", "alarm.obj.type": "主机"}).succeeded
