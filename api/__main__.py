"""`python -m api` is `starvc`."""

from api.cli import main

main()
