"""A tenant's session: every form of statement is confined or refused, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exists, func, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, joinedload, selectinload

from core.compute.model_rows import Entry
from core.compute.rows import Disk, Nic, StoredSize, Vm
from core.compute.template_rows import Template, TemplateDisk
from core.db.engine import Database
from core.db.scope import Unscoped
from core.db.session import PlatformSession, TenantSession, of_every_kind
from core.hosts.rows import Host
from core.tenancy.rows import Quota, Tenant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Deed = Callable[[TenantSession], Any]


def vm(key: str, tenant: str | None) -> Vm:
    return Vm(id=f"vm-{key}", tenant_id=tenant, name=key, created_at=NOW, vcpus=1, memory_mb=1, domain_uuid=key)


def disk(key: str, tenant: str, vm_id: str | None) -> Disk:
    return Disk(id=f"disk-{key}", tenant_id=tenant, vm_id=vm_id, device=key, created_at=NOW, size_gb=1)


@pytest.fixture(scope="module")
def two(shared_database: Database) -> Database:
    """Tenants `mine` and `other` with one VM and one disk each."""
    with shared_database.platform(write=True) as session:
        for tenant in ("mine", "other"):
            session.add(Tenant(id=tenant, name=tenant, created_at=NOW))
            session.flush()
            session.add_all([Quota(tenant_id=tenant), vm(tenant, tenant)])
            session.flush()
            session.add(disk(tenant, tenant, f"vm-{tenant}"))
    return shared_database


A = aliased(Vm)
SUB = select(Vm).subquery()
SUBVM = aliased(Vm, SUB)

CONFINED: dict[str, tuple[Deed, object]] = {
    "select": (lambda s: [v.id for v in s.scalars(select(Vm))], ["vm-mine"]),
    "columns only": (lambda s: list(s.scalars(select(Vm.id))), ["vm-mine"]),
    "count from": (lambda s: s.scalar(select(func.count()).select_from(Vm)), 1),
    "count of a column": (lambda s: s.scalar(select(func.count(Vm.id))), 1),
    "count of a subquery": (lambda s: s.scalar(select(func.count()).select_from(select(Vm.id).subquery())), 1),
    "get of a foreign row": (lambda s: s.get(Vm, "vm-other"), None),
    "alias": (lambda s: [v.id for v in s.scalars(select(A))], ["vm-mine"]),
    "alias of a subquery": (lambda s: [v.id for v in s.scalars(select(SUBVM))], ["vm-mine"]),
    "join": (lambda s: list(s.scalars(select(Disk.id).join(Vm, Vm.id != Disk.vm_id))), []),
    "join along a relationship": (
        lambda s: list(s.scalars(select(Disk.id).select_from(Vm).join(Vm.disks))),
        ["disk-mine"],
    ),
    "selectinload": (
        lambda s: [d.id for v in s.scalars(select(Vm).options(selectinload(Vm.disks))) for d in v.disks],
        ["disk-mine"],
    ),
    "joinedload": (
        lambda s: [d.id for v in s.scalars(select(Vm).options(joinedload(Vm.disks))).unique() for d in v.disks],
        ["disk-mine"],
    ),
    "refresh of a relationship": (lambda s: _refreshed_disks(s), ["disk-mine"]),
    "exists": (lambda s: s.scalar(select(select(Vm.id).where(Vm.id == "vm-other").exists())), False),
    "condition on a class that is not selected": (
        lambda s: s.scalar(select(literal(1)).where(Vm.id == "vm-other")),
        None,
    ),
    "scalar subquery": (
        lambda s: s.scalar(select(select(func.count(Disk.id)).where(Disk.tenant_id == "other").scalar_subquery())),
        0,
    ),
    "correlated subquery": (
        lambda s: s.execute(
            select(Vm.id, select(func.min(Disk.id)).where(Disk.vm_id == Vm.id).scalar_subquery())
        ).all(),
        [("vm-mine", "disk-mine")],
    ),
    "subquery in IN": (lambda s: list(s.scalars(select(Vm.id).where(Vm.id.in_(select(Disk.vm_id))))), ["vm-mine"]),
    "cte": (lambda s: list(s.scalars(select(select(Vm.id).cte().c.id))), ["vm-mine"]),
    "union": (lambda s: list(s.scalars(sa.union(select(Vm.id), select(Vm.id)))), ["vm-mine"]),
    "legacy query": (lambda s: [v.id for v in s.query(Vm)], ["vm-mine"]),
    "update": (lambda s: s.execute(sa.update(Vm).values(name="x")).rowcount, 1),
    "update with a subquery": (
        lambda s: (
            s.execute(
                sa.update(Vm).values(name="x").where(exists(select(Disk.id).where(Disk.tenant_id == "other"))),
                execution_options={"synchronize_session": False},
            ).rowcount
        ),
        0,
    ),
    "delete": (lambda s: s.execute(sa.delete(Disk)).rowcount, 1),
    "a quota": (lambda s: list(s.scalars(select(Quota.tenant_id))), ["mine"]),
}


def _refreshed_disks(session: TenantSession) -> list[str]:
    own = session.get_one(Vm, "vm-mine")
    session.refresh(own, ["disks"])
    return [found.id for found in own.disks]


@pytest.mark.parametrize("form", CONFINED)
def test_a_statement_is_confined_to_the_tenant(two: Database, form: str) -> None:
    deed, expected = CONFINED[form]
    with two.tenant("mine", write=True) as session:
        assert deed(session) == expected
        session.rollback()


BARE = Vm.__table__
ALIASED = BARE.alias()

REFUSED: dict[str, Deed] = {
    "a table": lambda s: s.execute(select(BARE)),
    "a table beside a class": lambda s: s.execute(select(Disk.id, BARE.c.id)),
    "a table joined to a class": lambda s: s.execute(select(Disk.id).join(BARE, literal(value=True))),
    "a table in a condition": lambda s: s.execute(select(Disk.id).where(BARE.c.id == "vm-other")),
    "a table in a subquery": lambda s: s.execute(select(Disk.id).where(Disk.vm_id.in_(select(BARE.c.id)))),
    "a table in EXISTS": lambda s: s.execute(
        select(Vm.id).where(select(literal(1)).select_from(BARE).correlate(None).exists())
    ),
    "EXISTS without a class": lambda s: s.execute(select(exists().where(Vm.id == "vm-other"))),
    "an aliased table": lambda s: s.execute(select(Vm.id, ALIASED.c.id)),
    "a table by its name": lambda s: s.execute(select(Disk.id, sa.table("vm", sa.column("id")).c.id)),
    "an update of a table": lambda s: s.execute(sa.update(BARE).values(name="x")),
    "text": lambda s: s.execute(sa.text("select * from vm")),
    "from_statement": lambda s: s.execute(select(Vm).from_statement(sa.text("select * from vm"))),
    "text in a condition": lambda s: s.execute(select(Vm.id).where(sa.text("1=1) or (1=1"))),
    "a literal column": lambda s: s.execute(select(Vm.id, sa.literal_column("(select min(name) from vm)"))),
    "text after a statement": lambda s: s.execute(select(Vm.id).suffix_with("UNION SELECT id FROM vm")),
    "a raw connection": lambda s: s.connection(),
    "a bulk update by key": lambda s: s.execute(sa.update(Vm), [{"id": "vm-other", "name": "x"}]),
    "an insert": lambda s: s.execute(sa.insert(Vm).values(id="x", tenant_id="other")),
    "an insert inside a select": lambda s: s.execute(select(sa.insert(Vm).values(id="x").returning(Vm.id).cte().c.id)),
    "legacy bulk insert": lambda s: s.bulk_insert_mappings(sa.inspect(Vm), [{"id": "x"}]),
    "legacy bulk update": lambda s: s.bulk_update_mappings(sa.inspect(Vm), [{"id": "x"}]),
    "legacy bulk save": lambda s: s.bulk_save_objects([vm("x", "other")]),
    "an update from a second class": lambda s: s.execute(sa.update(Vm).values(name=Disk.id).where(Disk.vm_id != Vm.id)),
    "a delete using a second class": lambda s: s.execute(sa.delete(Disk).where(Vm.name == "other")),
    "giving rows away": lambda s: s.execute(sa.update(Vm).values(tenant_id="other")),
    "giving rows away by attribute": lambda s: s.execute(sa.update(Vm).values({Vm.tenant_id: "other"})),
    "giving rows away in order": lambda s: s.execute(sa.update(Vm).ordered_values((Vm.tenant_id, "other"))),
    "a class that no tenant owns": lambda s: s.execute(select(Host)),
    "joining a class that no tenant owns": lambda s: s.execute(select(Vm.id).join(Tenant, literal(value=True))),
    "adding a row for another tenant": lambda s: (s.add(vm("new", "other")), s.flush()),
    "adding a row that no tenant owns": lambda s: (s.add(Tenant(id="x", name="x", created_at=NOW)), s.flush()),
    "giving an object away": lambda s: (setattr(s.get_one(Vm, "vm-mine"), "tenant_id", "other"), s.flush()),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_confined_is_refused(two: Database, form: str) -> None:
    with pytest.raises(Unscoped), two.tenant("mine", write=True) as session:
        REFUSED[form](session)


def test_what_was_judged_well_opens_no_way_for_its_like(two: Database) -> None:
    twins: list[tuple[sa.Select[str], sa.Select[str]]] = [
        (select(Vm.id), select(BARE.c.id)),
        (select(Disk.id).where(Vm.id == Disk.vm_id), select(Disk.id).where(BARE.c.id == Disk.vm_id)),
        (select(Vm.id), select(Vm.id).suffix_with("UNION SELECT id FROM vm")),
        (select(Vm.id), select(Vm.id).prefix_with("ALL")),
        (select(Vm.id), select(Vm.id).with_statement_hint("x")),
    ]
    for judged_well, refused in twins:
        for _ in range(2):
            with two.tenant("mine") as session:
                list(session.scalars(judged_well))
            with pytest.raises(Unscoped), two.tenant("mine") as session:
                session.execute(refused)


def _delete(session: TenantSession, row: Vm) -> None:
    session.delete(row)


CARRIED_IN: dict[str, Callable[[TenantSession, Vm], None]] = {
    "changed": lambda _, row: setattr(row, "name", "hacked"),
    "deleted": _delete,
    "taken over": lambda _, row: setattr(row, "tenant_id", "mine"),
}


@pytest.mark.parametrize("deed", CARRIED_IN)
def test_an_object_of_another_tenant_that_is_carried_in_is_refused(two: Database, deed: str) -> None:
    with two.platform() as session:
        foreign = session.get_one(Vm, "vm-other")
        session.expunge(foreign)
    with two.tenant("mine", write=True) as tenant:
        tenant.add(foreign)
        CARRIED_IN[deed](tenant, foreign)
        with pytest.raises(Unscoped):
            tenant.flush()
        tenant.expunge(foreign)
        tenant.rollback()


def test_a_new_row_gets_its_tenant(two: Database) -> None:
    with two.tenant("mine", write=True) as session:
        session.add(vm("new", None))
        session.flush()
        assert session.scalar(select(Vm.tenant_id).where(Vm.id == "vm-new")) == "mine"
        session.rollback()


def test_two_tenants_through_the_same_statement_see_their_own(two: Database) -> None:
    seen = []
    for tenant in ("mine", "other", "mine"):
        with two.tenant(tenant) as session:
            seen += session.scalars(select(Vm.id))
    assert seen == ["vm-mine", "vm-other", "vm-mine"]


def test_a_row_cannot_hang_on_another_tenants_row(two: Database) -> None:
    with pytest.raises(IntegrityError), two.tenant("mine", write=True) as session:
        session.add(disk("new", "mine", "vm-other"))


def test_the_platform_sees_all(two: Database) -> None:
    with two.platform() as session:
        assert isinstance(session, PlatformSession)
        assert session.scalar(select(func.count()).select_from(Vm)) == 2
        assert session.scalar(select(func.count()).select_from(Nic)) == 0


def test_what_is_shared_is_read_by_all_and_written_by_none(two: Database) -> None:
    with two.platform(write=True) as session:
        session.add(Entry(id="dict-1", type="tenant_type", label="a", value="b"))
    with two.tenant("mine") as session:
        assert session.scalars(select(Entry.value)).all() == ["b"]
        assert session.scalar(select(func.sum(StoredSize.size_gb))) == 2, "sizes, and not whose"
    deeds: list[Deed] = [
        lambda session: session.execute(sa.update(Entry).values(label="mine")),
        lambda session: session.execute(sa.delete(Entry)),
        lambda session: session.execute(sa.delete(StoredSize)),
        lambda session: session.add(Entry(id="dict-2", type="t", label="l", value="v")) or session.flush(),
        lambda session: setattr(session.get_one(Entry, "dict-1"), "label", "mine") or session.flush(),
    ]
    for deed in deeds:
        with pytest.raises(Unscoped), two.tenant("mine", write=True) as session:
            deed(session)


T = aliased(Template)
NO_TEMPLATE: dict[str, tuple[Callable[[TenantSession | PlatformSession], Any], object]] = {
    "select": (lambda s: [v.id for v in s.scalars(select(Vm))], ["vm-mine"]),
    "columns only": (lambda s: list(s.scalars(select(Vm.id))), ["vm-mine"]),
    "get": (lambda s: s.get(Vm, "vm-golden"), None),
    "alias": (lambda s: list(s.scalars(select(A.id))), ["vm-mine"]),
    "alias of a subquery": (lambda s: [v.id for v in s.scalars(select(SUBVM))], ["vm-mine"]),
    "join": (lambda s: list(s.scalars(select(Disk.id).join(Vm, Vm.id == Disk.vm_id))), ["disk-mine"]),
    "outer join": (
        lambda s: list(s.scalars(select(Disk.id).join(Vm, Vm.id == Disk.vm_id, isouter=True).where(Vm.id.is_(None)))),
        ["disk-golden"],
    ),
    "exists": (lambda s: s.scalar(select(select(Vm.id).where(Vm.id == "vm-golden").exists())), False),
    "subquery": (lambda s: list(s.scalars(select(Disk.id).where(Disk.vm_id.in_(select(Vm.id))))), ["disk-mine"]),
    "update": (lambda s: s.execute(sa.update(Vm).values(name="x")).rowcount, 1),
    "delete": (lambda s: s.execute(sa.delete(Vm).where(Vm.id == "vm-golden")).rowcount, 0),
    "templates": (lambda s: [t.id for t in s.scalars(select(Template))], ["vm-golden"]),
    "get of a VM as a template": (lambda s: s.get(Template, "vm-mine"), None),
    "alias of templates": (lambda s: list(s.scalars(select(T.id))), ["vm-golden"]),
    "disks of templates": (lambda s: list(s.scalars(select(TemplateDisk.id))), ["disk-golden"]),
    "every kind": (lambda s: list(s.scalars(of_every_kind(select(Vm.id).order_by(Vm.id)))), ["vm-golden", "vm-mine"]),
    "update of every kind": (lambda s: s.execute(of_every_kind(sa.update(Vm)).values(name="x")).rowcount, 2),
}


@pytest.fixture
def golden(two: Database) -> Database:
    """A VM and a template of `mine`, with one disk each; no other tenant has any."""
    with two.platform(write=True) as session:
        session.execute(sa.delete(Disk).where(Disk.tenant_id == "other"))
        session.execute(sa.delete(Vm).where(Vm.tenant_id == "other"))
        if session.get(Template, "vm-golden") is None:
            template = vm("golden", "mine")
            template.is_template = True
            session.add(template)
            session.flush()
            session.add(disk("golden", "mine", "vm-golden"))
    return two


@pytest.mark.parametrize("caller", ["tenant", "platform"])
@pytest.mark.parametrize("form", NO_TEMPLATE)
def test_vms_and_templates_are_kept_apart_whatever_a_statement_says(golden: Database, form: str, caller: str) -> None:
    deed, expected = NO_TEMPLATE[form]
    opened = golden.platform(write=True) if caller == "platform" else golden.tenant("mine", write=True)
    with opened as session:
        assert deed(session) == expected
        session.rollback()


def test_of_every_kind_is_still_of_one_tenant_only(golden: Database) -> None:
    with golden.tenant("other") as session:
        assert session.scalars(of_every_kind(select(Vm.id))).all() == []
        assert session.scalars(select(Template.id)).all() == ["vm-golden"]
