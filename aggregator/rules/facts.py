"""What alarms remember of their objects, made when it is asked for: most objects never have an alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aggregator.rules.inventory import NOBODY
from aggregator.rules.view import View
from core.alarms.finding import ObjectFacts
from core.timeseries.fields import Kind


class Facts(Mapping[str, ObjectFacts]):
    """By object id: all objects of a kind, as they are in a view."""

    def __init__(self, view: View, kind: Kind) -> None:
        self._census = view.census
        self._kind = kind
        self._population = view.census.populations[kind]
        self._in_maintenance = view.in_maintenance(kind)

    def __getitem__(self, name: str) -> ObjectFacts:
        place = self._population.position[name]
        inventory = self._census.inventory
        host, vm = int(self._population.host[place]), int(self._population.vm[place])
        return ObjectFacts(
            self._census.name(self._kind, place),
            inventory.vms[vm].tenant_id if vm != NOBODY else None,
            inventory.hosts[host].id if host != NOBODY else None,
            inventory.vms[vm].id if vm != NOBODY else None,
            in_service=not self._in_maintenance[place],
        )

    def __contains__(self, name: object) -> bool:
        return name in self._population.position

    def __iter__(self) -> Iterator[str]:
        return iter(self._population.ids)

    def __len__(self) -> int:
        return len(self._population)
