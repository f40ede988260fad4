"""Somebody who uses the control plane over HTTP, at random: whatever is refused is part of the game, errors are not."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from api.wire.client import Answer, StarVCenter
from tests.support.product import Product, fields, rows

QUOTA = {"app.cpu.quota": 24, "app.memory.quota": 24_000, "app.storage.quota": 1200, "app.portgroup.quota": 3}
_ONE_VM = ("cloudvm/start", "cloudvm/destroy", "cloudvm/shutdown", "cloudvm/restart")


@dataclass(frozen=True)
class Tenant:
    """`vpc`: the network in which it opens its VMs. `template`: what it clones some of them from."""

    id: str
    token: str
    vpc: str
    template: str

    @property
    def wish(self) -> dict[str, object]:
        """How it asks for a VM."""
        return {
            "vm.tenant.model": "debian-12", "vm.vcpu.num": 2, "vm.memory.mem": 1024, "vnic.portgroupid": self.vpc,
        }  # fmt: skip

    @property
    def wish_for_clone(self) -> dict[str, object]:
        wish = {name: value for name, value in self.wish.items() if name != "vm.tenant.model"}
        return {**wish, "vm.template.id": self.template}


def a_tenant(product: Product, **quota: object) -> Tenant:
    made = fields(product.platform("cloudTenant/create", {"app.name": "shop", **QUOTA, **quota}))
    with product.client(made["app.token"]) as client:
        vpc = fields(client("cloudnetwork/vpc/create"))["vpc.id"]
        template = rows(client("cloudvm/template/search"))[0]["vm.template.id"]
    return Tenant(made["app.id"], made["app.token"], vpc, template)


@dataclass
class Told:
    """What was acknowledged to a customer: `vms` by id with their tasks, and all `tasks`. `asked` counts requests by
    operation and result; `broken` are answers that are neither a yes nor a no."""

    vms: dict[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def note(self, operation: str, answer: Answer) -> None:
        self.asked[f"{operation} {answer.result}"] += 1
        if answer.status != 200 or answer.result not in {"0", "1"}:
            self.broken.append(f"{operation}: {answer.status} {answer.result} {answer.text}")
        if not answer.succeeded:
            return
        if answer.task_id:
            self.tasks.append(answer.task_id)
        if operation == "cloudvm/create":
            opened = {row["vm.id"]: row["jobstartid"] for row in rows(answer)}
            self.vms |= opened
            self.tasks += opened.values()


class Customer:
    """One tenant's client; `told` may be read by others while it acts."""

    def __init__(self, client: StarVCenter, tenant: Tenant, seed: int) -> None:
        self.told = Told()
        self._client = client
        self._tenant = tenant
        self._chance = random.Random(seed)

    def act(self) -> None:
        """One request that changes something, and one that finds what there is. Raises httpx.HTTPError."""
        vms = [vm["vm.id"] for vm in rows(self._client("cloudvm/search"))]
        if not vms or self._chance.random() < 0.2:
            wish = self._chance.choice((self._tenant.wish, self._tenant.wish_for_clone))
            self._ask("cloudvm/create", {**wish, "vm.num": self._chance.choice((1, 1, 2, 3))})
            return
        deeds = (self._switch, self._delete, self._resize, self._plug, self._disk, self._copy, self._copy)
        self._chance.choice(deeds)(self._chance.choice(vms))

    def _switch(self, vm: str) -> None:
        self._ask(self._chance.choice(_ONE_VM), {"vm.id": vm})

    def _delete(self, vm: str) -> None:
        self._remove("cloudvm", vm)

    def _resize(self, vm: str) -> None:
        if self._chance.random() < 0.5:
            self._ask("cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": self._chance.randint(1, 5)})
        else:
            self._ask("cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": self._chance.choice((512, 1024, 2048))})

    def _plug(self, vm: str) -> None:
        self._ask("cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": self._tenant.vpc})

    def _disk(self, vm: str) -> None:
        disk = self._any(self._client("cloudvm/vdisk/search", {"vdisk.vmid": vm}), "vdisk.id")
        match self._chance.choice(("add", "extend", "delete")) if disk else "add":
            case "add":
                self._ask("cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": self._chance.randint(1, 40)})
            case "extend":
                self._ask("cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": self._chance.randint(10, 90)})
            case _:
                self._remove("cloudvm/vdisk", disk)

    def _copy(self, vm: str) -> None:
        kind = self._chance.choice(("snapshot", "backup"))
        copy = self._any(self._client.call("GET", f"cloudvm/{kind}/{vm}"), f"{kind}.id")
        match self._chance.choice(("create", "restore", "delete")) if copy else "create":
            case "create":
                self._ask(f"cloudvm/{kind}/create", {f"{kind}.vmid": vm, f"{kind}.name": "copy"})
            case "restore":
                self._ask(f"cloudvm/{kind}/restore", {f"{kind}.id": copy})
            case _:
                self._remove(f"cloudvm/{kind}", copy)

    def _any(self, found: Answer, name: str) -> str:
        """One of those found; the VM may be gone meanwhile."""
        return str(self._chance.choice(rows(found))[name]) if found.succeeded and found.data else ""

    def _ask(self, path: str, params: Mapping[str, object]) -> None:
        self.told.note(path, self._client(path, params))

    def _remove(self, path: str, id_: str) -> None:
        self.told.note(f"DELETE {path}", self._client.call("DELETE", f"{path}/{id_}"))


@contextmanager
def in_use(product: Product, tenant: Tenant, seeds: Sequence[int]) -> Iterator[list[Told]]:
    """A customer for each seed acts until the block ends, or until somebody kills the product in it."""
    ready, over = threading.Barrier(len(seeds) + 1), threading.Event()
    told = [Told() for _ in seeds]

    def use(number: int) -> None:
        with product.client(tenant.token) as client:
            customer = Customer(client, tenant, seeds[number])
            told[number] = customer.told
            ready.wait()
            try:
                while not over.is_set():
                    customer.act()
            except httpx.TransportError:
                return  # it was killed

    users = [threading.Thread(target=use, args=(number,)) for number in range(len(seeds))]
    for user in users:
        user.start()
    ready.wait()
    try:
        yield told
    finally:
        over.set()
        for user in users:
            user.join()
