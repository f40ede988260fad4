"""Everything that a caller can get wrong: one class per thing that he would do differently about it.

Fault
├── Invalid        a parameter is wrong; says which, what and what is allowed
├── Unauthorised   the token is missing, unknown, expired or revoked
├── Forbidden      the token is good and its role may not do this
├── NotFound       no such object, or another tenant's
├── Conflict       the object's state, lock or users stand against it
└── QuotaExceeded  the tenant has not enough left; says of what
"""

from __future__ import annotations

from dataclasses import dataclass


class Fault(Exception):
    """A refusal with a reason for people. Nothing has been changed.

    `public` is what everybody may read; `inside` is what only the platform is told of it: hosts, their room and
    addresses.
    """

    inside: str = ""

    @property
    def public(self) -> str:
        return str(self)


@dataclass(eq=False)
class Invalid(Fault):
    """`field` is the domain name; the wire layer shows it as the caller spelt it."""

    field: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; allowed: {self.allowed}"


@dataclass(eq=False)
class Unauthorised(Fault):
    """`token_id`: of a token that was good once."""

    reason: str
    token_id: str | None = None

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class Forbidden(Fault):
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NotFound(Fault):
    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key} does not exist"


@dataclass(eq=False)
class Conflict(Fault):
    kind: str
    key: str
    reason: str
    inside: str = ""

    def __str__(self) -> str:
        return f"{self.public}: {self.inside}" if self.inside else self.public

    @property
    def public(self) -> str:
        return f"{self.kind} {self.key}: {self.reason}"


@dataclass(eq=False)
class QuotaExceeded(Fault):
    resource: str
    wanted: int
    left: int
    unit: str

    def __str__(self) -> str:
        return f"quota of {self.resource} exceeded: {self.wanted} {self.unit} wanted, {self.left} left"
