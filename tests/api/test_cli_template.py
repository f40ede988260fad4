"""`starvc template`: what a person types and sees, against a running server."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from core.compute.rows import Vm, VmState
from core.db.session import of_every_kind
from tests.api.conftest import Cloud, Command


@pytest.fixture
def stopped(cloud: Cloud) -> str:
    """A stopped VM of alice's."""
    with cloud.services.database.platform(write=True) as session:
        session.get_one(Vm, "vm-1").state = VmState.STOPPED
    return "vm-1"


def test_a_vm_becomes_a_template_for_all_and_a_vm_again(starvc: Command, cloud: Cloud, stopped: str) -> None:
    made = starvc("template", "add", stopped)
    assert made.exit_code == 0, made.output
    row = json.loads(starvc("template", "list", "--json").stdout)
    assert [(one["vm.template.id"], one["app.id"], one["vm.lock"]) for one in row] == [(stopped, cloud.alice_id, "0")]
    assert starvc("template", "list", "--name", "WEB").stdout.splitlines()[1].split()[:2] == [stopped, "web1"]
    assert starvc("template", "list", "--name", "other").stdout == "none\n"
    (seen,) = cloud.bob.call("POST", "cloudvm/template/search").data  # type: ignore[misc]
    assert (seen["vm.template.id"], seen["vm.storage.size"]) == (stopped, "40")
    assert not seen.keys() & {"app.id", "vm.lock", "vm.clone.num"}
    with cloud.services.database.platform(write=True) as session:
        template = session.scalars(of_every_kind(select(Vm)).where(Vm.id == stopped)).one()
        template.host_id = None  # nowhere: no room of a host is asked for
    assert starvc("template", "remove", stopped).exit_code == 0
    assert starvc("template", "list").stdout == "none\n"
    assert stopped in starvc("vm", "list").stdout


def test_a_refusal_says_why(starvc: Command, stopped: str) -> None:
    for words, reason in (
        (("add", "vm-2"), "only a stopped VM becomes a template"),
        (("add", "vm-absent"), "vm-absent"),
        (("remove", stopped), stopped),
    ):
        refused = starvc("template", *words)
        assert refused.exit_code == 1
        assert reason in refused.stderr
