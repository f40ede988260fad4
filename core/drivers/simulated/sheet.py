"""A page in the Prometheus text format whose lines stay and whose numbers change: one `%` operation renders all of
it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as its exporter describes it. `form` is the printf form of its numbers."""

    name: str
    type: str
    help: str
    form: str = "%d"


class Sheet:
    """`lines` has the label sets of each family, in page order; `{a="b"}` or the empty text.

    `render` takes as many numbers for a family as it has label sets.
    """

    def __init__(self, lines: Sequence[tuple[Family, Sequence[str]]], tail: str = "") -> None:
        self._names = [family.name for family, labels in lines if labels]
        self._text = "".join(_block(family, labels) for family, labels in lines if labels) + tail.replace("%", "%%")

    def render(self, numbers: Mapping[str, ArrayLike]) -> bytes:
        values: list[float] = []
        for name in self._names:
            values.extend(np.ravel(numbers[name]).tolist())
        return (self._text % tuple(values)).encode()


def head(family: Family) -> str:
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"


def labels(**pairs: str) -> str:
    """`{name="value",...}` in the order given; the values need no escapes."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in pairs.items()) + "}"


def _block(family: Family, label_sets: Sequence[str]) -> str:
    rows = "".join(f"{family.name}{one.replace('%', '%%')} {family.form}\n" for one in label_sets)
    return head(family).replace("%", "%%") + rows
