"""Write the JSON of all dashboards: `python -m dashboards [FOLDER]`."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.boards import BOARDS
from dashboards.panels import Board, build

GENERATED = Path(__file__).parent / "generated"


def render(board: Board) -> str:
    """The dashboard's JSON, as Grafana reads it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(build(board).build()) + "\n"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid}.json").write_text(render(board), encoding="utf-8")


if __name__ == "__main__":
    main()
