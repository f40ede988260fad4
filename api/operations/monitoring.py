"""2.8 Monitoring on the wire. Beside VMs, `host` is accepted everywhere with a platform token."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.monitoring import current, history

_MAIN = {
    "watched": "monitor.obj.type",
    "id": "monitor.obj",
    "ids": "monitor.objids",
    "object_id": "monitor.obj",
    "measured_at": "monitor.createtime",
    "at": "monitor.createtime",
}
COMPUTE = Words(
    {
        **_MAIN,
        "cpu_rate": "monitor.cpu.rate",
        "mem_rate": "monitor.mem.rate",
        "cpu_num": "monitor.cpu.num",
        "mem_size": "monitor.mem.size",
        "mem_used": "monitor.mem.usedsize",
        "disk_used": "monitor.disk.usedsize",
    }
)
DISK = Words(
    {
        **_MAIN,
        "disk_id": "monitor.diskid",
        "write": "monitor.disk.writespeed",
        "read": "monitor.disk.readspeed",
        "size": "monitor.disk.size",
        "used": "monitor.disk.usedsize",
        "read_requests": "monitor.disk.rqbs",
        "write_requests": "monitor.disk.wqbs",
    }
)
NIC = Words(
    {
        **_MAIN,
        "nic_id": "monitor.netcardid",
        "mac": "monitor.netcardmac",
        "down": "monitor.net.downspeed",
        "up": "monitor.net.upspeed",
    }
)
HISTORY = Words(
    {
        **_MAIN,
        "line": "lineType",
        "starts_at": "monitor.starttime",
        "ends_at": "monitor.endtime",
        "cpu_rate": "monitor.cpu.rate",
        "mem_rate": "monitor.mem.rate",
        "disk_write": "monitor.disk.writespeed",
        "disk_read": "monitor.disk.readspeed",
        "net_down": "monitor.net.downspeed",
        "net_up": "monitor.net.upspeed",
    }
)

SECTION = Section(
    "2.8",
    Text("云主机监控", "Monitoring"),
    (
        Operation(
            "POST",
            "cloudmonitor/compute/current",
            "2.8.1",
            Text("查询CPU/MEM性能监控数据（实时）", "CPU and memory, current"),
            current.current,
            COMPUTE,
        ),
        Operation(
            "POST",
            "cloudmonitor/compute/history",
            "2.8.2",
            Text("查询CPU/MEM监控数据（历史）", "CPU and memory, history"),
            history.compute,
            HISTORY,
        ),
        Operation(
            "POST",
            "cloudmonitor/disk/history",
            "2.8.3",
            Text("查询磁盘IO监控数据（历史）", "Disk IO, history"),
            history.disk,
            HISTORY,
        ),
        Operation(
            "POST",
            "cloudmonitor/net/history",
            "2.8.4",
            Text("查询网络IO监控数据（历史）", "Network IO, history"),
            history.net,
            HISTORY,
        ),
        Operation(
            "POST",
            "cloudmonitor/everydisk/current",
            "2.8.5",
            Text("查询磁盘IO监控数据（实时，分磁盘）", "Disk IO by disk, current"),
            current.every_disk,
            DISK,
        ),
        Operation(
            "POST",
            "cloudmonitor/everynet/current",
            "2.8.6",
            Text("查询网络IO监控数据（实时，分网卡）", "Network IO by NIC, current"),
            current.every_nic,
            NIC,
        ),
        Operation(
            "POST",
            "cloudmonitor/compute/currents",
            "2.8.7",
            Text("查询计算性能监控数据（实时，批量）", "CPU, memory and disk use of many, current"),
            current.currents,
            COMPUTE,
        ),
    ),
)
