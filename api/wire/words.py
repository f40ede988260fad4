"""Dictionaries between the program's names and the wire's: the only place, with `api.operations`, where legacy spelling
lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from api.wire.languages import Language

PAGING: Mapping[str, str] = {"start": "page.startnum", "limit": "page.everypagenum"}


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """How one resource is spelt.

    `fields`: name of a dataclass field -> name on the wire. Every field that is read or written must have one.
    `values`: enumeration -> member -> spellings; the first is written, all are read, in any case. Absent: the member's
    value. `nested`: dataclass that stands inside another -> its own dictionary. `languages`: fields of answers that
    hold the text in one language; those of the other one share their wire name.

    Fields of answers: `binary` are booleans that are written 1 and 0 instead of true and false, `numbers` are JSON
    numbers, `omitted` are left out when they are None, `platform_only` are not shown to tenants. Fields of requests:
    `cleared` are texts that a blank one clears, where it would else mean "not given".
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[type[Enum], Mapping[Enum, tuple[str, ...]]] = field(default_factory=dict)
    nested: Mapping[type, Words] = field(default_factory=dict)
    languages: Mapping[str, Language] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()
    platform_only: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    omitted: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()

    def name(self, field_name: str) -> str:
        """The wire name. Raises KeyError for a field without one: that is a mistake of the declaration."""
        return self.fields.get(field_name) or PAGING[field_name]

    def spell(self, member: Enum) -> str:
        return self.spellings(member)[0]

    def spellings(self, member: Enum) -> tuple[str, ...]:
        return self.values.get(type(member), {}).get(member) or (str(member.value),)

    def within(self, shape: type) -> Words:
        """The dictionary of a nested dataclass."""
        return self.nested.get(shape, self)

    def find(self, field_name: str) -> str | None:
        """The wire name in this dictionary, in those inside it or among the paging parameters."""
        if name := self.fields.get(field_name):
            return name
        inner = (words.find(field_name) for words in self.nested.values())
        return next((name for name in inner if name), PAGING.get(field_name))
