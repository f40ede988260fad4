"""One host, or one VM, in depth: the same panels, told apart by the kind of object."""

from collections.abc import Sequence

from dashboards.panels import BYTES, COUNT, PER_SECOND, PERCENT, QUARTER, RATE, Board, Panel


def _compute(kind: str, label: str) -> Sequence[tuple[str, Sequence[Panel]]]:
    chosen = f'{{{kind}_id=~"$object"}}'
    legend = f"{{{{{label}}}}}"

    def lines(title: str, unit: str, *fields: tuple[str, str], top: float | None = None) -> Panel:
        queries = [(f"starvc_{kind}_{name}{chosen}", f"{legend} {what}".strip()) for name, what in fields]
        return Panel(title, unit, queries, top=top)

    def number(title: str, unit: str, name: str, limits: tuple[float, float] | None = None) -> Panel:
        return Panel(
            title, unit, [(f"starvc_{kind}_{name}{chosen}", legend)], shape="number", width=QUARTER, limits=limits
        )

    return (
        (
            "Now",
            (
                number("CPU", PERCENT, "cpu_rate_percent", (80, 95)),
                number("Memory", PERCENT, "mem_rate_percent", (85, 95)),
                number("Cores", COUNT, "cpu_num"),
                number("Space used", BYTES, "disk_used_bytes"),
            ),
        ),
        (
            "Compute",
            (
                lines("CPU in use", PERCENT, ("cpu_rate_percent", ""), top=100),
                lines("Memory", BYTES, ("mem_used_bytes", "used"), ("mem_size_bytes", "size")),
            ),
        ),
        (
            "Input and output",
            (
                lines("Disk", RATE, ("disk_read_bytes_per_second", "read"), ("disk_write_bytes_per_second", "written")),
                lines("Network", RATE, ("net_down_bytes_per_second", "received"), ("net_up_bytes_per_second", "sent")),
                Panel(
                    "Requests per disk",
                    PER_SECOND,
                    [
                        ('starvc_disk_read_requests_per_second{owner_id=~"$object"}', "{{device}} read"),
                        ('starvc_disk_write_requests_per_second{owner_id=~"$object"}', "{{device}} written"),
                    ],
                ),
                Panel(
                    "Traffic per NIC",
                    RATE,
                    [
                        ('starvc_nic_down_bytes_per_second{owner_id=~"$object"}', "{{device}} received"),
                        ('starvc_nic_up_bytes_per_second{owner_id=~"$object"}', "{{device}} sent"),
                    ],
                ),
            ),
        ),
    )


HOST = Board(
    uid="starvc-host",
    title="StarVC / Host",
    meaning="CPU, memory, disks and network of physical hosts.",
    variables=(("object", "Host", "label_values(starvc_host_cpu_num, host_id)", True),),
    rows=_compute("host", "host"),
)
VM = Board(
    uid="starvc-vm",
    title="StarVC / VM",
    meaning="CPU, memory, disks and network of VMs, by tenant.",
    variables=(
        ("tenant", "Tenant", "label_values(starvc_vm_cpu_num, tenant)", True),
        ("object", "VM", 'label_values(starvc_vm_cpu_num{tenant=~"$tenant"}, vm_id)', True),
    ),
    rows=_compute("vm", "vm"),
)
