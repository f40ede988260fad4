"""Access rules and security groups of two VMs behind a router, and what the network driver has yet to confirm."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from core.compute import power, removal
from core.compute.rows import Nic
from core.compute.vms import VmRef
from core.db.types import Row
from core.network import access_rules, bindings, group_rules, groups, pending_rules
from core.network.access_rules import AccessRuleDetails, AddAccessRule, FindAccessRules, Gate, SetGate
from core.network.bindings import Binding
from core.network.filter_rows import Boundary
from core.network.group_rules import AddGroupRule, FindRulesOfVm, GroupRuleRef
from core.network.groups import CreateGroup
from core.network.node_rows import NetworkNode, NodeType, PendingRule
from core.network.pending_rules import FindPendingRules
from core.network.traffic import Direction, Protocol
from core.tasks.rows import TaskState
from tests.support.balancing import Site
from tests.support.control import Control


@dataclass
class Wall:
    """`nics`: the NIC of each VM; `ips`: its address."""

    site: Site

    def __post_init__(self) -> None:
        self.control: Control = self.site.control
        self.vms = list(self.site.inside)
        self.ips = list(self.site.inside.values())
        self.nics = [self.nic(vm_id) for vm_id in self.vms]

    def nic(self, vm_id: str) -> str:
        with self.control.database.platform() as session:
            return session.scalars(select(Nic.id).where(Nic.vm_id == vm_id)).one()

    def delete_vm(self, vm_id: str) -> None:
        for deed in (power.power_off, removal.delete):
            _, ending, why = self.control.finish(deed, VmRef(id=vm_id))
            assert ending is TaskState.SUCCEEDED, why

    def allow(self, **want: object) -> str:
        """By default: what comes to the first VM from anywhere, on the network's boundary."""
        wish = AddAccessRule(**{"ip": self.ips[0], "boundary": Boundary.NETWORK, **want})  # type: ignore[arg-type]
        return self.control.do(access_rules.add, wish).id

    def rules(self, **find: object) -> list[AccessRuleDetails]:
        return list(self.control.do(access_rules.search, FindAccessRules(**find)).rows)  # type: ignore[arg-type]

    def gate(self, gate: Gate) -> None:
        self.control.do(access_rules.set_gate, SetGate(vpc_id=self.control.vpc, gate=gate))

    def group(self, name: str = "web") -> str:
        return self.control.do(groups.create, CreateGroup(name=name)).id

    def rule(self, group_id: str, **want: object) -> str:
        """By default: TCP to port 80."""
        wish: dict[str, object] = {"direction": Direction.IN, "protocol": Protocol.TCP, "ports": "80", **want}
        return self.control.do(group_rules.add, AddGroupRule(group_id=group_id, **wish)).id  # type: ignore[arg-type]

    def unrule(self, rule_id: str) -> None:
        self.control.do(group_rules.delete, GroupRuleRef(id=rule_id))

    def bind(self, group_id: str, *nic_ids: str) -> None:
        self.control.do(bindings.bind, Binding(group_id=group_id, nic_ids=nic_ids))

    def unbind(self, group_id: str, *nic_ids: str) -> None:
        self.control.do(bindings.unbind, Binding(group_id=group_id, nic_ids=nic_ids))

    def in_effect(self, vm_id: str) -> dict[str, bool]:
        found = self.control.do(group_rules.search_of_vm, FindRulesOfVm(vm_id=vm_id))
        return {rule.id: rule.in_effect for rule in found.rows}

    def pending(self, **find: object) -> set[tuple[str, str]]:
        """Rules and VMs."""
        found = self.control.do(pending_rules.search, FindPendingRules(**find))  # type: ignore[arg-type]
        return {(issue.rule_id, issue.vm_id) for issue in found.rows}

    def wanted(self, type_: NodeType, id_: str) -> int:
        with self.control.database.platform() as session:
            node = (NetworkNode.type == type_, NetworkNode.id == id_)
            return session.scalars(select(NetworkNode.wanted).where(*node)).one_or_none() or 0

    def confirm(self) -> None:
        """The driver has done everything."""
        with self.control.database.platform(write=True) as session:
            session.execute(delete(PendingRule))
            session.execute(update(NetworkNode).values(confirmed=NetworkNode.wanted))

    def count(self, kind: type[Row]) -> int:
        with self.control.database.platform() as session:
            return session.scalars(select(func.count()).select_from(kind)).one()
