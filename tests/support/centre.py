"""An API process whose simulated hosts are at the address it listens on, where other machines reach them.

python -m tests.support.centre api
"""

from __future__ import annotations

import os
import runpy

from api.simulation import exporter, inventory

if __name__ == "__main__":
    exporter.LOOPBACK = inventory.LOOPBACK = os.environ["STARVC_HOST"]
    runpy.run_module("api", run_name="__main__", alter_sys=True)
