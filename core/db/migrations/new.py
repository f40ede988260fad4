"""`python -m core.db.migrations.new "what changed"`: write the next revision from the difference between history and
rows.

The difference is taken on an empty SQLite database that was brought up to the newest revision. Read what it wrote
before you keep it: a renamed column looks like a lost and a new one. Until the first release there is one revision,
which is written anew: delete `versions/0001_*.py` and run this with "initial".
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url

from core.db.migrations import config, upgrade


def write(message: str) -> Path:
    """The file of the new revision, numbered one above the last."""
    number = len(list(ScriptDirectory.from_config(config()).walk_revisions())) + 1
    with tempfile.TemporaryDirectory() as folder:
        url = make_url(f"sqlite:///{folder}/history.db")
        if number > 1:
            upgrade(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            script = command.revision(config(connection), message, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()
    assert script is not None
    assert not isinstance(script, list)
    assert script.path is not None
    return Path(script.path)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit('usage: python -m core.db.migrations.new "what changed"')
    sys.stdout.write(f"{write(sys.argv[1])}\n")
