"""What an operator looks at first: is the cloud all right, and where is it not."""

from dashboards.panels import BYTES, COUNT, FULL, HALF, PERCENT, QUARTER, RATE, Board, Panel

CLOUD = Board(
    uid="starvc-cloud",
    title="StarVC / Cloud",
    meaning="Hosts, VMs and open alarms at a glance.",
    rows=(
        (
            "Now",
            (
                Panel(
                    "Hosts up",
                    COUNT,
                    [('count(starvc_target_up{exporter="node"} == 1)', "")],
                    shape="number",
                    width=QUARTER,
                ),
                Panel(
                    "Hosts down",
                    COUNT,
                    [('count(starvc_target_up{exporter="node"} == 0) or vector(0)', "")],
                    shape="number",
                    width=QUARTER,
                    limits=(1, 1),
                ),
                Panel("VMs measured", COUNT, [("count(starvc_vm_cpu_num)", "")], shape="number", width=QUARTER),
                Panel(
                    "Open high alarms",
                    COUNT,
                    [('sum(starvc_alarms{severity="high"}) or vector(0)', "")],
                    shape="number",
                    width=QUARTER,
                    limits=(1, 1),
                ),
            ),
        ),
        (
            "Load",
            (
                Panel("CPU of hosts", PERCENT, [("starvc_host_cpu_rate_percent", "{{host}}")], top=100),
                Panel("Memory of hosts", PERCENT, [("starvc_host_mem_rate_percent", "{{host}}")], top=100),
                Panel(
                    "Disk I/O of hosts",
                    RATE,
                    [
                        ("sum(starvc_host_disk_read_bytes_per_second)", "read"),
                        ("sum(starvc_host_disk_write_bytes_per_second)", "written"),
                    ],
                ),
                Panel(
                    "Network of hosts",
                    RATE,
                    [
                        ("sum(starvc_host_net_down_bytes_per_second)", "received"),
                        ("sum(starvc_host_net_up_bytes_per_second)", "sent"),
                    ],
                ),
            ),
        ),
        (
            "Busiest",
            (
                Panel(
                    "VMs by CPU",
                    PERCENT,
                    [("topk(10, starvc_vm_cpu_rate_percent)", "{{vm}}")],
                    shape="bars",
                    limits=(80, 95),
                    top=100,
                ),
                Panel(
                    "VMs by memory",
                    PERCENT,
                    [("topk(10, starvc_vm_mem_rate_percent)", "{{vm}}")],
                    shape="bars",
                    limits=(85, 95),
                    top=100,
                ),
                Panel(
                    "VMs by space used",
                    BYTES,
                    [("topk(10, starvc_vm_disk_used_bytes)", "{{vm}}")],
                    shape="bars",
                    width=HALF,
                ),
                Panel(
                    "Tenants by CPU cores in use",
                    COUNT,
                    [("sum by (tenant) (starvc_vm_cpu_rate_percent * starvc_vm_cpu_num / 100)", "{{tenant}}")],
                    shape="bars",
                    width=HALF,
                ),
            ),
        ),
        (
            "Alarms",
            (
                Panel(
                    "Open alarms by severity",
                    COUNT,
                    [("sum by (severity) (starvc_alarms)", "{{severity}}")],
                    width=FULL,
                ),
            ),
        ),
    ),
)
