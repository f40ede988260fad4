"""The declared shape of a rule file: what pydantic accepts and what `docs/rules.schema.json` says are one declaration.

Shape only: whether a field exists for a kind, a forecast has its level, or ids are unique is decided in `language`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from aggregator.rules import durations
from aggregator.rules.troubles import Trouble
from core.alarms.finding import NoDataPolicy, Relief
from core.timeseries.fields import Kind

Time = Annotated[str, StringConstraints(pattern=durations.PATTERN)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Operator = Literal[">", ">=", "<", "<=", "==", "!="]
SeverityWord = Literal["low", "medium", "high"]
HostStateWord = Literal["stopped", "running", "offline", "fault_detecting", "ha_detecting"]
VmStateWord = Literal["stopped", "running", "suspended", "installing", "cloning", "fault_detecting", "create_failed"]
Limit = float | Time


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def refuse(problem: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{problem}", {"problem": problem, "allowed": allowed})


class RaiseAt(_Strict):
    op: Operator = Field(description="how the measured value is compared with `value`; quote it in YAML")
    value: Limit = Field(description="limit, in the field's unit; a duration for forecasts")


class ClearAt(_Strict):
    value: Limit = Field(description="the alarm clears once the measured value is no longer `op` this")


class RaiseWhen(_Strict):
    op: Operator | None = Field(None, description="how the measured value is compared with `value`; quote it in YAML")
    value: Limit | None = Field(None, description="limit, in the field's unit; a duration for forecasts")
    for_: Time = Field("0s", alias="for", description="how long the condition must hold")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.op is None) != (self.value is None):
            raise refuse("op and value belong together", "both or neither")
        return self


class ClearWhen(_Strict):
    value: Limit | None = Field(None, description="default: the limit of `raise`")
    for_: Time = Field("0s", alias="for", description="how long it must stay clear")


class Measure(_Strict):
    field: str = Field(description="a field of the kind, or a sum of several: `read_requests + write_requests`")
    percent_of: str | None = Field(None, description="another field: the value is 100 * field / percent_of")
    kind: Literal["target"] | None = Field(None, description="measure the scrape targets of the object's host instead")
    match: Literal["any", "every"] = Field("every", description="how several targets of one host are combined")


class Threshold(Measure):
    runs_on: Literal["fresh", "partial", "final"] = Field(
        "fresh",
        description="fresh: the newest sample; partial: the newest minute, if unfinished too; final: the newest final",
    )
    stat: Literal["mean", "min", "max"] = Field("mean", description="of a minute; for runs_on partial and final")


class Change(Measure):
    window: Time = Field(description="the value now minus the value this long ago; at least 2m")
    relative: bool = Field(default=False, description="in percent of the earlier value instead of in the field's unit")


class Forecast(Measure):
    reaches: str | float = Field(
        description="field or number at which it is full; the rule's value is the time until then"
    )
    window: Time = Field(description="how far back the straight line is fitted; at least 10m")


class NoData(_Strict):
    for_: Time = Field(alias="for", description="an expected object has had no sample for this long")
    kind: Literal["target"] | None = Field(None, description="look at the scrape targets of the object's host instead")


class HostStateIn(_Strict):
    in_: tuple[HostStateWord, ...] = Field(alias="in", min_length=1)
    clear_in: tuple[HostStateWord, ...] | None = Field(None, min_length=1, description="default: every other state")


class VmStateIn(_Strict):
    in_: tuple[VmStateWord, ...] = Field(alias="in", min_length=1)
    clear_in: tuple[VmStateWord, ...] | None = Field(None, min_length=1, description="default: every other state")


class TroubleIn(_Strict):
    in_: tuple[Trouble, ...] = Field(alias="in", min_length=1)


CONDITIONS = ("threshold", "change", "forecast", "no_data", "host_state", "vm_state", "trouble", "any", "all")


class Condition(_Strict):
    """Exactly one of the conditions; `raise` and `clear` only inside any/all, for a limit not the rule's own."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in CONDITIONS]})

    threshold: Threshold | None = None
    change: Change | None = None
    forecast: Forecast | None = None
    no_data: NoData | None = None
    host_state: HostStateIn | None = None
    vm_state: VmStateIn | None = None
    trouble: TroubleIn | None = None
    any_: tuple[Condition, ...] | None = Field(None, alias="any", min_length=1)
    all_: tuple[Condition, ...] | None = Field(None, alias="all", min_length=1)
    raise_: RaiseAt | None = Field(None, alias="raise")
    clear: ClearAt | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in CONDITIONS if name in _spelt(self)]
        if len(given) != 1:
            raise refuse(f"{' and '.join(given) or 'no condition'} given", "exactly one of " + ", ".join(CONDITIONS))
        if self.clear is not None and self.raise_ is None:
            raise refuse("clear without raise", "raise: {op, value} beside it")
        return self


def _spelt(model: BaseModel) -> set[str]:
    fields = type(model).model_fields
    return {fields[name].alias or name for name in model.model_fields_set if getattr(model, name) is not None}


class RungSpec(_Strict):
    severity: SeverityWord
    raise_: RaiseWhen = Field(default_factory=lambda: RaiseWhen.model_validate({}), alias="raise")
    clear: ClearWhen = Field(default_factory=lambda: ClearWhen.model_validate({}))


class OverrideLevel(_Strict):
    raise_: Limit | None = Field(None, alias="raise", description="limit instead of the rule's")
    clear: Limit | None = Field(None, description="default: as far from the new raise limit as the rule's own")


class Match(_Strict):
    """Exactly one: the more exact one wins, in the order tenant, label, host, vm."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("tenant", "label", "host", "vm")]}
    )

    tenant: str | None = None
    label: dict[str, str] | None = Field(None, min_length=1)
    host: str | None = None
    vm: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = _spelt(self)
        if len(given) != 1:
            raise refuse(f"{' and '.join(sorted(given)) or 'nothing'} given", "exactly one of tenant, label, host, vm")
        return self


class OverrideSpec(_Strict):
    match: Match
    disabled: bool = False
    levels: dict[SeverityWord, OverrideLevel] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.disabled == bool(self.levels):
            raise refuse("an override changes nothing or both disables and changes", "either disabled: true or levels")
        return self


class Message(_Strict):
    zh: str = Field(min_length=1, max_length=512)
    en: str = Field(min_length=1, max_length=512)


class Flapping(_Strict):
    """Every raise and every relief adds 1 to a score that halves in `half_life`."""

    begin: float = Field(6.0, ge=2, le=100, description="score from which the alarm is flapping and is held open")
    end: float = Field(2.0, gt=0, le=100, description="score under which it is steady again")
    half_life: Time = Field("10m", description="the score halves in this time")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.end >= self.begin:
            raise refuse(f"end {self.end:g} is not below begin {self.begin:g}", f"less than {self.begin:g}")
        return self


class RuleSpec(_Strict):
    id: Identifier = Field(description="never changes: open alarms are found by it")
    kind: Kind = Field(description="what the rule watches")
    category: Identifier = Field(description="shown as the alarm's type")
    when: Condition
    levels: tuple[RungSpec, ...] | None = Field(None, min_length=1, max_length=3, description="from low to high")
    severity: SeverityWord | None = Field(None, description="for a rule of one level, with raise and clear beside it")
    raise_: RaiseWhen | None = Field(None, alias="raise")
    clear: ClearWhen | None = None
    no_data: NoDataPolicy = Field(NoDataPolicy.KEEP, description="what missing samples do to an alarm")
    relief: Relief = Field(Relief.AUTO, description="manual: an alarm stays until a person relieves it")
    limit: int = Field(
        1000, ge=1, le=1_000_000, description="open alarms of this rule, from which no new ones are made"
    )
    labels: dict[str, str] = Field(default_factory=dict)
    flapping: Flapping = Field(default_factory=lambda: Flapping.model_validate({}), description="when it is flapping")
    message: Message = Field(description="may hold {object}, {value}, {limit}, {unit}")
    runbook: str = Field(min_length=1, max_length=512, description="one line: what to do")
    overrides: tuple[OverrideSpec, ...] = ()

    @model_validator(mode="after")
    def _levels_or_one(self) -> Self:
        single = {name for name in ("severity", "raise", "clear") if name in _spelt(self)}
        if self.levels is not None and single:
            raise refuse(
                f"levels and {' and '.join(sorted(single))} given", "either levels, or severity with raise and clear"
            )
        if self.levels is None and self.severity is None:
            raise refuse("neither levels nor severity given", "either levels, or severity with raise and clear")
        return self


class RuleFile(_Strict):
    """A file of alarm rules."""

    model_config = ConfigDict(title="starvc alarm rules")

    version: Literal[1]
    rules: tuple[RuleSpec, ...] = Field(min_length=1)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a rule file, for editors."""
    schema = RuleFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
