"""A backup that is taken while the product is used, and what it is worth when all else is gone."""

from __future__ import annotations

import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from api.cli import app
from core.db.engine import Database, open_database
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import Kind
from tests.support.books import at_rest, missing, mistakes, saved_world
from tests.support.customer import Tenant, Told, a_tenant, in_use
from tests.support.postgres import Server
from tests.support.product import Product, rows
from tests.support.real import binary, eventually

CLIENTS, HOSTS, VMS = 4, 2, 2
SETTINGS = {"sim_hosts": HOSTS, "sim_vms": VMS, "agent": "false", "sim_task_seconds": 0.05, "task_heartbeat": 0.5}


def used_until_killed(product: Product, tenant: Tenant, take: Callable[[], None]) -> list[Told]:
    """`take` makes a backup while customers go on; what they had been told before. Then the product dies."""
    with in_use(product, tenant, range(CLIENTS)) as told:
        eventually(lambda: sum(len(one.tasks) for one in told) > 2 * CLIENTS, 60)
        before = [Told(dict(one.vms), list(one.tasks)) for one in told]
        take()
        threading.Event().wait(0.3)
        product.kill()
    return before


def starvc(data: Path, *words: str, database_url: str = "") -> None:
    """A command of an operator, beside the product."""
    line = CliRunner(env={"STARVC_DATA_DIR": str(data), "STARVC_DATABASE_URL": database_url})
    done = line.invoke(app, words)
    assert done.exit_code == 0, done.output


def samples(folder: Path) -> set[tuple[str, float]]:
    with closing(EmbeddedStore.reader(folder / "series")) as store:
        frame = store.read(Kind.VM, 0, 2.0**40)
    return set(zip(frame.objects, frame.times.tolist(), strict=True))


def test_a_folder_restored_from_a_backup_holds_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    file, settings = tmp_path / "backup.tar", {**SETTINGS, "database_url": ""}
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    product, known = Product(tmp_path / "first", **settings), set()

    def take() -> None:
        known.update(samples(product.data))
        starvc(product.data, "backup", str(file))

    try:
        product.start()
        eventually(lambda: samples(product.data))
        tenant = a_tenant(product)
        told = used_until_killed(product, tenant, take)
    finally:
        product.stop()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Product(tmp_path / "second", **settings)
    starvc(again.data, "restore", str(file))
    assert {stat.S_IMODE(item.stat().st_mode) for item in again.data.rglob("*") if item.is_file()} == {0o600}
    assert known <= samples(again.data)
    with again, again.client(tenant.token) as client, closing(open_database(Settings(data_dir=again.data))) as database:
        assert rows(client("cloudvm/search"))
        eventually(lambda: at_rest(database), 30)
        assert missing(database, told) == []
        with database.platform() as session:
            assert mistakes(session, saved_world(again.data, HOSTS, VMS)) == []
    assert not again.errors()


def test_a_dump_of_postgresql_holds_all_that_was_acknowledged_before_it(tmp_path: Path, postgresql: Server) -> None:
    """The commands of docs/operations.md."""
    dump, file = tmp_path / "starvc.dump", tmp_path / "backup.tar"
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with postgresql.database() as url, postgresql.database() as other:
        product = Product(tmp_path / "first", database_url=url, **SETTINGS)

        def take() -> None:
            run("pg_dump", "--format=custom", f"--file={dump}", plain(url))
            starvc(product.data, "backup", str(file), database_url=url)

        try:
            product.start()
            tenant = a_tenant(product)
            told = used_until_killed(product, tenant, take)
        finally:
            product.stop()
        run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={plain(other)}", str(dump))
        again = Product(tmp_path / "second", database_url=other, **SETTINGS)
        starvc(again.data, "restore", str(file), database_url=other)
        with again, again.client(tenant.token) as client, closing(Database(other)) as database:
            assert rows(client("cloudvm/search"))
            eventually(lambda: at_rest(database), 30)
            assert missing(database, told) == []
            with database.platform() as session:
                assert mistakes(session, None) == []
        assert not again.errors()


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([binary(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
