"""Tests of rules, as YAML: series on a virtual clock, and the transitions that must come of them - or must not.

Every test runs the real evaluator and the real alarm machine; only the store and the clock are the test's.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aggregator.rules.notation import points
from aggregator.rules.schema import HostStateWord, SeverityWord, Time, VmStateWord, refuse
from aggregator.rules.troubles import Trouble
from core.alarms.machine import Change


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Expected(_Strict):
    at: Time = Field(description="when, from the start of the test; to within one evaluation")
    change: Change
    severity: SeverityWord | None = None
    says: str | None = Field(None, description="a part of the alarm's English text")


class Trial(_Strict):
    """One object under one rule. Its host is `h1`, its VM `v1` of tenant `t1`."""

    name: str = Field(min_length=1)
    rule: str
    object: str | None = Field(None, description="default: h1, v1, v1/vda, v1/net0 or h1/node, by the rule's kind")
    scrape: Time = Field("10s", description="scrape interval")
    evaluate: Time | None = Field(None, description="evaluation interval; default: the scrape interval")
    series: dict[str, str] = Field(
        description="by field of the rule's kind; `node.up` and `libvirt.up` for the host's targets"
    )
    host_state: dict[Time, HostStateWord] = Field(default_factory=dict, description="by time from which it holds")
    vm_state: dict[Time, VmStateWord] = Field(default_factory=dict)
    maintenance: dict[Time, bool] = Field(default_factory=dict)
    trouble: dict[Time, Trouble | None] = Field(default_factory=dict, description="by time from which it is there")
    until: Time | None = Field(None, description="default: the end of the longest series")
    expect: tuple[Expected, ...] = Field(description="every transition, in order; empty: it must not fire")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for name, text in self.series.items():
            try:
                points(text)
            except ValueError as error:
                problem, _, allowed = str(error).partition("; allowed: ")
                raise refuse(f"series {name}: {problem}", allowed) from error
        if not self.series and self.until is None:
            raise refuse("neither series nor until", "at least one series, or until")
        return self


class TrialFile(_Strict):
    """A file of rule tests."""

    model_config = ConfigDict(title="starvc rule tests")

    version: int = Field(1, ge=1, le=1)
    tests: tuple[Trial, ...] = Field(min_length=1)


def json_schema() -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TrialFile.model_json_schema(by_alias=True)}
