"""2.2 VMs on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import vms
from core.context import Role

VM = Words(
    {
        "id": "vm.id",
        "name": "vm.name",
        "description": "vm.desc",
        "created_at": "vm.createtime",
        "state": "vm.state",
        "vcpus": "vm.vcpu.num",
        "memory_mb": "vm.memory.mem",
        "type_code": "vm.tenant.type",
        "model_code": "vm.tenant.model",
        "ip": "vm.ip",
        "reboot_enabled": "vm.reboot.enable",
        "shutdown_enabled": "vm.shutdown.enable",
        "lock": "vm.lock",
        "host_id": "vm.hostid",
    },
    platform_only=frozenset({"host_id"}),
)
IN_PATH = Words({"id": "vmId"})

SECTION = Section(
    "2.2",
    Text("云主机", "VMs"),
    (
        Operation("POST", "cloudvm/create", "2.2.1", Text("开通云主机", "Create VM(s)")),
        Operation("POST", "cloudvm/search", "2.2.2", Text("查询云主机", "Search VMs"), vms.search, VM),
        Operation("GET", "cloudvm/{vmId}", "2.2.3", Text("获取云主机详细", "Get VM detail"), vms.read, IN_PATH, VM),
        Operation("PUT", "cloudvm/start", "2.2.4", Text("启动云主机", "Start VM")),
        Operation("PUT", "cloudvm/destroy", "2.2.5", Text("云主机关闭电源", "Power off VM (hard)")),
        Operation("PUT", "cloudvm/shutdown", "2.2.6", Text("云主机关闭系统", "Shut down VM (guest OS)")),
        Operation("DELETE", "cloudvm/{vmId}", "2.2.7", Text("删除云主机", "Delete VM")),
        Operation("PUT", "cloudvm/modify", "2.2.8", Text("修改云主机", "Modify VM")),
        Operation("GET", "cloudvm/connection/{vmId}", "2.2.9", Text("获取云主机连接信息", "Get VM console connection")),
        Operation(
            "POST",
            "cloudvm/setadminpwd",
            "2.2.10",
            Text("重置云主机系统管理员密码", "Reset guest administrator password"),
        ),
        Operation("POST", "cloudvm/resumeCloudAgent", "2.2.11", Text("唤醒云主机代理服务", "Resume the guest agent")),
        Operation(
            "POST", "cloudvm/editvncpwd", "2.2.12", Text("修改云主机远程连接密码", "Change console (VNC) password")
        ),
        Operation(
            "POST", "cloudvm/setvncpwd", "2.2.13", Text("重置云主机远程连接密码", "Reset console (VNC) password")
        ),
        Operation("PUT", "cloudvm/restart", "2.2.14", Text("重启云主机", "Restart VM")),
        Operation("PUT", "cloudvm/cpu/modify", "2.2.15", Text("变更云主机CPU", "Change VM CPU")),
        Operation("PUT", "cloudvm/mem/modify", "2.2.16", Text("变更云主机内存", "Change VM memory")),
        Operation("GET", "cloudvm/model", "2.2.17", Text("获取云主机型号", "List VM types and models")),
        Operation(
            "POST", "cloudvm/switchfirewalld", "2.2.18", Text("访问控制开关", "Switch VM access control (firewall)")
        ),
        Operation(
            "POST",
            "cloudvm/addVhostModelAndType",
            "2.2.19",
            Text("录入云主机型号或类型", "Add VM type or model"),
            role=Role.PLATFORM,
        ),
        Operation(
            "DELETE",
            "cloudvm/delVhostModelAndType/{id}",
            "2.2.20",
            Text("删除云主机型号或类型", "Delete VM type or model"),
            role=Role.PLATFORM,
        ),
    ),
)
