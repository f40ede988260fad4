"""Desired states as JSON and back, for the file of the simulated network. Private keys are left out of it: nobody who
reads the file needs them, and a simulation serves no TLS."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from core.network.desired import NicState, NodeState, RouterState, TlsCertificate
from core.network.node_rows import NodeType
from core.network.traffic import Blocks, PortSet

_KINDS: Final[Mapping[NodeType, type[NodeState]]] = {NodeType.ROUTER: RouterState, NodeType.NIC: NicState}


def dump(state: NodeState) -> str:
    return json.dumps(_plain(state), separators=(",", ":"))


def load(type_: NodeType, text: str) -> NodeState:
    """Raises ValueError, KeyError or TypeError for what `dump` did not write."""
    state = _read(_KINDS[type_], json.loads(text))
    assert isinstance(state, (RouterState, NicState))
    return state


def _plain(value: object) -> object:
    match value:
        case PortSet() | Blocks():
            return str(value)
        case TlsCertificate(chain):
            return {"chain": chain, "key": ""}
        case tuple():
            return [_plain(one) for one in value]
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _read(kind: Any, value: Any) -> object:
    """`value` as `kind` says: a dataclass of texts, numbers, enums, tuples and dataclasses."""
    if get_origin(kind) in {Union, types.UnionType}:
        return None if value is None else _read(next(one for one in get_args(kind) if one is not type(None)), value)
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], one) for one in value)
    if kind in {PortSet, Blocks}:
        return kind.parse(value, kind.__name__)
    if is_dataclass(kind):
        return _hinted(kind, value)
    return kind(value) if issubclass(kind, StrEnum) else value


def _hinted(kind: Any, value: Mapping[str, Any]) -> object:
    return kind(**{name: _read(hint, value[name]) for name, hint in _hints(kind).items()})


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(kind)
