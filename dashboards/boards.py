"""All dashboards."""

from typing import Final

from dashboards.cloud import CLOUD
from dashboards.objects import HOST, VM
from dashboards.panels import Board
from dashboards.pipeline import PIPELINE

BOARDS: Final[tuple[Board, ...]] = (CLOUD, HOST, VM, PIPELINE)
