"""The pages for people, as a real browser shows them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from api.operations.table import SECTIONS
from tests.support.product import Product, rows
from tests.support.real import binary, eventually

Browse = Callable[[str], str]
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=8000", "--dump-dom",
)  # fmt: skip


@pytest.fixture
def browse(product: Product, tmp_path: Path) -> Browse:
    """The page at a path, as it is once its scripts have run."""

    def show(path: str) -> str:
        command = [binary("chromium"), *_OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", product.url + path]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return shown.stdout

    return show


def cells(page: str, table: str) -> list[list[str]]:
    """The texts of a table of the console, row by row."""
    section = page.split(f'<section id="{table}"', 1)[1].split("</section>", 1)[0]
    body = section.split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]


def test_the_console_shows_the_platform_hosts_and_vms_with_their_load(product: Product, browse: Browse) -> None:
    wanted = {"monitor.obj.type": "host", "monitor.obj": "host-local", "lineType": "minute"}
    history = "cloudmonitor/compute/history"
    eventually(lambda: any(row["monitor.cpu.rate"] for row in rows(product.platform(history, wanted))), 30)
    page = browse(f"/console/#token={product.platform_token}")
    assert "3/3</b> hosts up" in page
    assert "6</b> VMs" in page
    assert product.platform_token not in page
    for table, names in (
        ("hosts", {row["host.name"] for row in rows(product.platform("cloudhost/search"))}),
        ("vms", {row["vm.name"] for row in rows(product.platform("cloudvm/search"))}),
    ):
        found = cells(page, table)
        assert {row[0] for row in found} == names
        for _, state, cpu, memory, cores, address in found:
            assert state == "running"
            assert re.fullmatch(r"\d+ %", cpu)
            assert re.fullmatch(r"\d+ %", memory)
            assert cores.isdigit()
            assert address
    assert page.count("<figure>") == 4
    assert re.search(r'<path class="a" d="M[^"]+"', page), "a line is drawn"
    assert re.search(r'<p id="problem"[^>]* hidden=""', page)


def test_the_console_shows_a_tenant_its_vms_and_no_hosts(product: Product, browse: Browse) -> None:
    page = browse(f"/console/#token={product.demo_token}")
    assert len(cells(page, "vms")) == 6
    assert re.search(r'<section id="hosts"[^>]* hidden=""', page)
    assert "hosts up" not in page


def test_the_console_says_so_when_the_token_is_wrong(browse: Browse) -> None:
    page = browse("/console/#token=wrong")
    assert re.search(r'<p id="problem" role="alert">[^<]*token', page)
    assert re.search(r'<main hidden=""', page)


def test_the_description_lists_every_operation_in_both_languages(browse: Browse) -> None:
    for language, word in (("en", "92 operations"), ("zh", "92 个")):
        page = browse(f"/starvcenter/services?lang={language}")
        assert word in page
        assert page.count(' data-find="') == sum(len(section.operations) for section in SECTIONS)
        for path in ("cloudvm/create", "cloudnetwork/acessrule/add", "cloudslb/modify", "cloudalarm/relieve"):
            assert f">{path}<" in page
