"""`starvc`, and `python -m api`: the command line."""

from __future__ import annotations

from api.loading import loading


def main() -> None:
    with loading():
        from api.cli import app

    app()


if __name__ == "__main__":
    main()
