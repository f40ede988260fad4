"""2.2 VMs on the wire."""

from __future__ import annotations

from collections.abc import Callable

from api.wire.envelope import Nothing
from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.compute import consoles, guests, models, opening, power, removal, resizing, templates, vms
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
OPEN = Words(
    {
        "id": "vm.id",
        "name": "vm.name",
        "model": "vm.tenant.model",
        "template_id": "vm.template.id",
        "vcpus": "vm.vcpu.num",
        "memory_mb": "vm.memory.mem",
        "vpc_id": "vnic.portgroupid",
        "number": "vm.num",
        "vnc_password": "vm.vncpasswd",
        "admin_password": "vm.account.pwd",
        "nested": "vm.hyperv.enable",
        "data_disks": "vm.vdisk.num",
        "data_disk_gb": "vm.vdisk.size",
        "task_id": "jobstartid",
    }
)
CHANGE = Words(
    {
        "id": "vm.id",
        "name": "vm.name",
        "description": "vm.desc",
        "vcpus": "vm.vcpu.num",
        "memory_mb": "vm.memory.mem",
        "enabled": "vm.firewalld.enable",
        "password": "vm.vncpasswd",
    },
    cleared=frozenset({"name", "description"}),
)
TEMPLATE = Words(
    {
        "id": "vm.template.id",
        "name": "vm.name",
        "description": "vm.desc",
        "created_at": "vm.createtime",
        "vcpus": "vm.vcpu.num",
        "memory_mb": "vm.memory.mem",
        "storage_gb": "vm.storage.size",
        "type_code": "vm.tenant.type",
        "model_code": "vm.tenant.model",
        "tenant_id": "app.id",
        "lock": "vm.lock",
        "clones": "vm.clone.num",
    },
    platform_only=frozenset({"tenant_id", "lock", "clones"}),
)
ADMIN = Words({"id": "vm.id", "user": "username", "password": "pwd"})
CONSOLE = Words({"url": "vm.console.url", "host": "vm.hostip", "port": "vm.vncport"})
TYPES = Words(
    {"code": "vm.tenant.type", "name": "vm.tenant.typename", "models": "model"},
    nested={models.ModelDetails: Words({"code": "vm.tenant.mode", "name": "vm.tenant.modelname"})},
)
ENTRY = Words({"id": "id", "type": "type", "label": "label", "value": "value", "description": "description"})
IN_PATH = Words({"id": "vmId"})
TEMPLATE_IN_PATH = Words({"id": "templateid"})


def _put(path: str, section: str, title: Text, run: Callable[..., object]) -> Operation:
    """An operation on one VM, named by its id, that answers a task."""
    return Operation("PUT", path, section, title, run, CHANGE, writes=True)


SECTION = Section(
    "2.2",
    Text("云主机", "VMs"),
    (
        Operation(
            "POST", "cloudvm/create", "2.2.1", Text("开通云主机", "Create VM(s)"), opening.open_vms, OPEN, writes=True
        ),
        Operation("POST", "cloudvm/search", "2.2.2", Text("查询云主机", "Search VMs"), vms.search, VM),
        Operation("GET", "cloudvm/{vmId}", "2.2.3", Text("获取云主机详细", "Get VM detail"), vms.read, IN_PATH, VM),
        _put("cloudvm/start", "2.2.4", Text("启动云主机", "Start VM"), power.start),
        _put("cloudvm/destroy", "2.2.5", Text("云主机关闭电源", "Power off VM (hard)"), power.power_off),
        _put("cloudvm/shutdown", "2.2.6", Text("云主机关闭系统", "Shut down VM (guest OS)"), power.shut_down),
        Operation(
            "DELETE",
            "cloudvm/{vmId}",
            "2.2.7",
            Text("删除云主机", "Delete VM"),
            removal.delete,
            IN_PATH,
            writes=True,
        ),
        _put("cloudvm/modify", "2.2.8", Text("修改云主机", "Modify VM"), vms.modify),
        Operation(
            "GET",
            "cloudvm/connection/{vmId}",
            "2.2.9",
            Text("获取云主机连接信息", "Get VM console connection"),
            consoles.read,
            IN_PATH,
            CONSOLE,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudvm/setadminpwd",
            "2.2.10",
            Text("重置云主机系统管理员密码", "Reset guest administrator password"),
            guests.set_admin_password,
            ADMIN,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudvm/resumeCloudAgent",
            "2.2.11",
            Text("唤醒云主机代理服务", "Resume the guest agent"),
            guests.wake_agent,
            CHANGE,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudvm/editvncpwd",
            "2.2.12",
            Text("修改云主机远程连接密码", "Change console (VNC) password"),
            consoles.change_password,
            CHANGE,
            writes=True,
            nothing=Nothing.ABSENT,
        ),
        Operation(
            "POST",
            "cloudvm/setvncpwd",
            "2.2.13",
            Text("重置云主机远程连接密码", "Reset console (VNC) password"),
            consoles.reset_password,
            CHANGE,
            writes=True,
        ),
        _put("cloudvm/restart", "2.2.14", Text("重启云主机", "Restart VM"), power.restart),
        _put("cloudvm/cpu/modify", "2.2.15", Text("变更云主机CPU", "Change VM CPU"), resizing.change_vcpus),
        _put("cloudvm/mem/modify", "2.2.16", Text("变更云主机内存", "Change VM memory"), resizing.change_memory),
        Operation(
            "GET", "cloudvm/model", "2.2.17", Text("获取云主机型号", "List VM types and models"), models.read, TYPES
        ),
        Operation(
            "POST",
            "cloudvm/switchfirewalld",
            "2.2.18",
            Text("访问控制开关", "Switch VM access control (firewall)"),
            vms.switch_firewall,
            CHANGE,
            writes=True,
            nothing=Nothing.LIST,
        ),
        Operation(
            "POST",
            "cloudvm/addVhostModelAndType",
            "2.2.19",
            Text("录入云主机型号或类型", "Add VM type or model"),
            models.add,
            ENTRY,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudvm/delVhostModelAndType/{id}",
            "2.2.20",
            Text("删除云主机型号或类型", "Delete VM type or model"),
            models.delete,
            ENTRY,
            role=Role.PLATFORM,
            writes=True,
            nothing=Nothing.OBJECT,
        ),
        Operation(
            "POST",
            "cloudvm/template/create",
            EXTENSION,
            Text("将云主机设为模板", "Make a VM a template"),
            templates.add,
            CHANGE,
            TEMPLATE,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudvm/template/search",
            EXTENSION,
            Text("查询云主机模板", "Search templates"),
            templates.search,
            TEMPLATE,
        ),
        Operation(
            "DELETE",
            "cloudvm/template/{templateid}",
            EXTENSION,
            Text("取消云主机模板", "Make a template a VM again"),
            templates.remove,
            TEMPLATE_IN_PATH,
            role=Role.PLATFORM,
            writes=True,
        ),
    ),
)
