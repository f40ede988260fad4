"""Chinese for the English texts of the domain's refusals. `{}` stands for a part that varies and is kept, in order."""

from __future__ import annotations

import re
from functools import cache

NOUNS = {
    "VM": "云主机",
    "host": "主机",
    "tenant": "租户",
    "token": "令牌",
    "alarm": "告警",
    "task": "任务",
}
CATALOGUE = {
    "is not Base64": "不是 Base64",
    "is not UTF-8 after Base64": "Base64 解码后不是 UTF-8",
    "is not JSON after Base64": "Base64 解码后不是 JSON",
    "is JSON, but not an object": "是 JSON，但不是对象",
    "is nested too deeply": "嵌套过深",
    "a JSON object in UTF-8, then Base64": "UTF-8 的 JSON 对象，再经 Base64 编码",
    "is missing": "缺失",
    "both paging parameters or neither": "两个分页参数同时提供或都不提供",
}


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Longest texts first: the most exact one wins."""
    templates = sorted((english for english in CATALOGUE if "{}" in english), key=len, reverse=True)
    return tuple(
        (re.compile("(.*)".join(map(re.escape, english.split("{}"))), re.DOTALL), CATALOGUE[english])
        for english in templates
    )


def translate(english: str) -> str:
    """The Chinese text, or the English one where there is none."""
    if known := NOUNS.get(english) or CATALOGUE.get(english):
        return known
    for pattern, text in _patterns():
        if found := pattern.fullmatch(english):
            return text.format(*found.groups())
    return english
