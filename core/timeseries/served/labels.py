"""Names of objects as labels: letters of any script, digits and `-_./:` as they are, everything else as %XX of UTF-8.

Line protocol, Flux, PromQL and CSV each have quoting rules of their own, with gaps (a trailing backslash, a line
break); a label has no character that any of them treats specially, and stays readable on a dashboard.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_SPECIAL = re.compile(r"[^\w\-./:]")


def label(name: str) -> str:
    return name if name.isalnum() else _SPECIAL.sub(_escaped, name)


def name(label: str) -> str:
    return unquote(label, errors="surrogatepass") if "%" in label else label


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "surrogatepass"))
