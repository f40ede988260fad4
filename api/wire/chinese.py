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
    "cores": "核",
}
CATALOGUE = {
    "is not Base64": "不是 Base64",
    "is not UTF-8 after Base64": "Base64 解码后不是 UTF-8",
    "is not JSON after Base64": "Base64 解码后不是 JSON",
    "is JSON, but not an object": "是 JSON，但不是对象",
    "is nested too deeply": "嵌套过深",
    "a JSON object in UTF-8, then Base64": "UTF-8 的 JSON 对象，再经 Base64 编码",
    "is not a form": "不是表单",
    "{} in application/x-www-form-urlencoded or multipart/form-data": (
        "{}，以 application/x-www-form-urlencoded 或 multipart/form-data 提交"
    ),
    "is missing": "缺失",
    "both paging parameters or neither": "两个分页参数同时提供或都不提供",
    # tokens
    "this operation needs a platform token": "此接口需要平台令牌",
    "the token is missing": "缺少令牌（请求头 KEY_TOKEN）",
    "the token is damaged: mistyped or cut": "令牌不完整或有误",
    "the token is unknown": "令牌无效",
    "the token is revoked": "令牌已撤销",
    "missing": "缺失",
    "the id of a token of this tenant": "该租户的令牌编号",
    "{} characters are too few": "只有 {} 个字符，过短",
    "at least {}, of random origin": "至少 {} 个随机字符",
    "a tenant holds this token": "该令牌属于某个租户",
    "a token of its own": "平台专用的令牌",
    # tenants
    "still owns {}": "仍拥有 {}",
    # hosts
    "{} is already its page": "{} 已是它的采集地址",
    "VMs are on it: {}": "其上有云主机：{}",
    "{} is not an IP address": "{} 不是 IP 地址",
    "an IPv4 or IPv6 address": "IPv4 或 IPv6 地址",
    "{} is not a URL: {}": "{} 不是 URL：{}",
    "scheme {} in {}": "{1} 的协议是 {0}",
    "no {} in {}": "{1} 中没有 {0}",
    "white space or control characters in {}": "{} 中含有空白或控制字符",
    "http://HOST:PORT/PATH or https://HOST:PORT/PATH": "http://主机:端口/路径 或 https://主机:端口/路径",
    # monitoring
    "monitoring of hosts needs a platform token": "查询主机监控需要平台令牌",
    "lies after the end": "晚于结束时间",
    "a time before the end": "早于结束时间的时间",
    "asks for too many points": "范围过大，点数过多",
    "at most {} points of a line": "一条线最多 {} 个点",
    # alarms
    "has passed": "已经过去",
    "a moment in the future": "将来的时间",
    "is relieved already": "已经解除",
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
