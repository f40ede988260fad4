"""The schema's history leads to the schema that the rows describe, on both databases, up and down again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, create_engine, inspect, make_url, text

from core.db.engine import Database
from core.db.migrations import SchemaTooNew, downgrade, upgrade
from core.db.tables import METADATA


def table_names(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_the_migrated_schema_is_that_of_the_rows(database_url: str) -> None:
    upgrade(make_url(database_url))
    engine = create_engine(database_url)
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert difference == [], 'run `python -m core.db.migrations.new "what changed"`'


def test_every_check_of_the_rows_is_in_the_migrated_schema(database_url: str) -> None:
    upgrade(make_url(database_url))
    engine = create_engine(database_url)
    found = {check["name"] for table in METADATA.tables for check in inspect(engine).get_check_constraints(table)}
    engine.dispose()
    rules = [
        rule for table in METADATA.tables.values() for rule in table.constraints if isinstance(rule, CheckConstraint)
    ]
    assert rules
    assert found == {str(rule.name) for rule in rules}


def test_the_schema_goes_up_and_down_and_up_again(database_url: str) -> None:
    url = make_url(database_url)
    upgrade(url)
    assert table_names(database_url) == {*METADATA.tables, "alembic_version"}
    downgrade(url, "base")
    assert table_names(database_url) == {"alembic_version"}
    upgrade(url)
    assert table_names(database_url) == {*METADATA.tables, "alembic_version"}


def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as pool:
        for done in [pool.submit(database.migrate) for database in databases]:
            done.result()
    assert set(METADATA.tables) < table_names(database_url)


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    database = Database(database_url)
    database.migrate()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SchemaTooNew, match="9999"):
        database.migrate()
