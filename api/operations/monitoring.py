"""2.8 Monitoring on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.8",
    Text("云主机监控", "Monitoring"),
    (
        Operation(
            "POST",
            "cloudmonitor/compute/current",
            "2.8.1",
            Text("查询CPU/MEM性能监控数据（实时）", "CPU/memory, current"),
        ),
        Operation(
            "POST", "cloudmonitor/compute/history", "2.8.2", Text("查询CPU/MEM监控数据（历史）", "CPU/memory, history")
        ),
        Operation("POST", "cloudmonitor/disk/history", "2.8.3", Text("查询磁盘IO监控数据（历史）", "Disk IO, history")),
        Operation(
            "POST", "cloudmonitor/net/history", "2.8.4", Text("查询网络IO监控数据（历史）", "Network IO, history")
        ),
        Operation(
            "POST",
            "cloudmonitor/everydisk/current",
            "2.8.5",
            Text("查询磁盘IO监控数据（实时-分磁盘）", "Disk IO per disk, current"),
        ),
        Operation(
            "POST",
            "cloudmonitor/everynet/current",
            "2.8.6",
            Text("查询网络IO监控数据（实时-分网卡）", "Network IO per NIC, current"),
        ),
        Operation(
            "POST",
            "cloudmonitor/compute/currents",
            "2.8.7",
            Text("查询计算性能监控数据（实时，批量）", "Compute metrics, current, batch"),
        ),
    ),
)
