"""The dictionary of VM types and models: reading it, and, for the platform, writing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.compute.model_rows import TYPES, Entry
from core.compute.rows import Vm
from core.context import Context
from core.db.search import exactly, only
from core.db.session import of_every_kind
from core.errors import Conflict, Invalid
from core.ids import new_id

_Text = Annotated[str, MinLen(1), MaxLen(64)]

_SHIPPED: Final = (
    (TYPES, "应用服务器", "tenant_app_model"),
    (TYPES, "数据库", "tenant_db_model"),
    (TYPES, "缓存服务器", "tenant_cache_model"),
    (TYPES, "消息队列", "tenant_mq_model"),
    (TYPES, "操作系统", "tenant_system_model"),
    ("tenant_app_model", "WEBLOGIC_12C", "weblogic-12c"),
    ("tenant_app_model", "K8S_1_16_8", "k8s-1-16-8"),
    ("tenant_app_model", "PROMETHEUS_2_16_0", "prometheus-2-16-0"),
    ("tenant_system_model", "WIN_2022", "win-2022"),
    ("tenant_system_model", "DEBIAN_12", "debian-12"),
)
"""The document's examples: type, label, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEntry:
    """A type of VMs when `type` is TYPES; otherwise a model of the type whose value it is."""

    type: _Text
    label: Annotated[str, MinLen(1), MaxLen(128)]
    value: _Text
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRef:
    """A type or a model."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedEntry:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDetails:
    code: str
    name: str
    models: tuple[ModelDetails, ...]


def read(at: Context) -> tuple[TypeDetails, ...]:
    """All types with their models, in the order in which they were entered."""
    entries = at.session.scalars(select(Entry).order_by(Entry.id)).all()
    return tuple(
        TypeDetails(
            code=kind.value,
            name=kind.label,
            models=tuple(ModelDetails(code=one.value, name=one.label) for one in entries if one.type == kind.value),
        )
        for kind in entries
        if kind.type == TYPES
    )


def find(at: Context, code: str) -> Entry:
    """The model. Raises Invalid, naming those there are. Of models of several types the oldest one is meant."""
    models = at.session.scalars(select(Entry).where(Entry.type != TYPES).order_by(Entry.id)).all()
    for model in models:
        if model.value == code:
            return model
    raise Invalid("model", "there is no such model", f"one of {', '.join(model.value for model in models)}")


def add(at: Context, want: AddEntry) -> tuple[AddedEntry, ...]:
    """Raises Invalid for a model of an unknown type, Conflict for one that is there already."""
    types = at.session.scalars(select(Entry.value).where(Entry.type == TYPES).order_by(Entry.id)).all()
    if want.type != TYPES and want.type not in types:
        raise Invalid("type", "there is no such type", f"one of {', '.join((TYPES, *types))}")
    twin = at.session.scalar(select(Entry.id).where(Entry.type == want.type, Entry.value == want.value))
    if twin is not None:
        raise Conflict("dictionary entry", twin, "has this type and value already")
    entry = Entry(id=new_id("dict"), type=want.type, label=want.label, value=want.value, description=want.description)
    at.session.add(entry)
    at.session.flush()
    return (AddedEntry(id=entry.id),)


def delete(at: Context, ref: EntryRef) -> None:
    """Raises NotFound; Conflict for a type that has models and for a model that VMs have."""
    entry = only(at.session, select(Entry).where(*exactly(Entry.id, ref.id)), "dictionary entry", ref.id)
    if entry.type == TYPES:
        users = at.session.scalar(select(func.count()).select_from(Entry).where(Entry.type == entry.value))
        if users:
            raise Conflict("dictionary entry", entry.id, f"has {users} models")
    else:
        using = (Vm.model_code == entry.value, Vm.type_code == entry.type)
        users = at.session.scalar(of_every_kind(select(func.count())).select_from(Vm).where(*using))
        if users:
            raise Conflict("dictionary entry", entry.id, f"{users} VMs have it")
    at.session.delete(entry)
    at.session.flush()


def seed(session: Session) -> None:
    """The shipped entries are there when nothing was entered yet."""
    if session.scalar(select(Entry.id).limit(1)) is None:
        session.add_all(
            Entry(id=f"dict-{number:02d}", type=kind, label=label, value=value)
            for number, (kind, label, value) in enumerate(_SHIPPED)
        )
        session.flush()
