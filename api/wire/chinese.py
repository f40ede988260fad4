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
    "window": "维护窗口",
    "cores": "核",
    "pieces": "个",
    "memory": "内存",
    "storage": "存储",
    "subnets": "子网",
    "outer IPs": "外网IP",
    "CPU": "CPU",
    "MB": "MB",
    "GB": "GB",
    "disk": "磁盘",
    "backup": "备份",
    "snapshot": "快照",
    "private network": "私有网络",
    "dictionary entry": "字典项",
    "platform": "平台",
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
    "HH:MM": "HH:MM",
    "severity {}": "没有级别 {}",
    "{} has no values, so nothing would match": "{} 没有取值，匹配不到任何告警",
    "at least one value": "至少一个取值",
    # VMs
    "has no hypervisors": "没有可用的虚拟化主机",
    "its hypervisor cannot do this ({})": "其虚拟化主机不支持此操作（{}）",
    "is stopped": "已停止",
    "is running": "正在运行",
    "is not running": "未在运行",
    "is suspended": "处于休眠",
    "is being installed": "正在安装",
    "is being cloned": "正在克隆",
    "is being checked for faults": "故障检测中",
    "was never created: it failed": "创建失败",
    "was changed at the same time": "同时被其他操作修改",
    "has no host": "不在任何主机上",
    "has this size already": "已经是此规格",
    "is running: it can only grow; stop it to make it smaller": "正在运行，只能增大；减小请先停止",
    "is running: its hypervisor changes its size only while it is stopped": "正在运行，请停止后再变更规格",
    "no host can take it: {}": "没有主机可以容纳：{}",
    "no host can take it: others were faster, several times": "没有主机可以容纳：多次被其他请求抢先",
    "has not enough room: {}": "资源不足：{}",
    "its console cannot be reached: {}": "无法取得控制台：{}",
    "there is no such model": "没有这个型号",
    "there is no such type": "没有这个类型",
    "one of {}": "{} 之一",
    "has this type and value already": "类型和编码已存在",
    "has {} models": "其下有 {} 个型号",
    "{} VMs have it": "有 {} 台云主机使用",
    "is given together with a template": "与模板同时提供",
    "either a model or a template": "型号或模板，二选一",
    "does not go with the number of disks": "与数据盘数量不相符",
    "both, or neither": "两者同时提供或都不提供",
    "there is no such template": "没有这个模板",
    "a template, or a model instead": "模板编号，或改用型号",
    "is locked: migrating across hosts": "已锁定：跨主机迁移中",
    "is locked: migrating across storages": "已锁定：跨存储迁移中",
    "is locked: creating a backup": "已锁定：备份创建中",
    "is locked: restoring a backup": "已锁定：备份还原中",
    "is locked: creating a snapshot": "已锁定：快照创建中",
    "is locked: restoring a snapshot": "已锁定：快照还原中",
    "is locked: starting": "已锁定：启动中",
    "is locked: stopping": "已锁定：停止中",
    "is locked: exporting": "已锁定：导出中",
    "is locked: importing": "已锁定：导入中",
    "is locked: being cloned": "已锁定：被克隆中",
    "is locked: installing": "已锁定：安装中",
    "is locked: cloning": "已锁定：克隆中",
    "is locked: moving": "已锁定：移动中",
    "is locked: being changed": "已锁定：变更中",
    # disks, NICs, backups, snapshots
    "hangs on no VM": "未挂载到云主机",
    "has {} GB already; a disk only grows": "已有 {} GB，磁盘只能扩大",
    "its VM has {} snapshots; delete them first": "其云主机有 {} 个快照，请先删除",
    "is the system disk of its VM": "是云主机的系统盘",
    "has {} disks: it takes no more": "已有 {} 块磁盘，不能再添加",
    "has {} NICs: it takes no more": "已有 {} 块网卡，不能再添加",
    "is not Ceph: container platforms cannot mount its volumes": "不是 CEPH，容器平台无法挂载其磁盘",
    "makes no free volumes": "不能创建空白磁盘",
    "its VM is being restored": "其云主机正在还原",
    "is not complete": "尚未完成，不可用",
    # private networks
    "belongs to another tenant than the VM": "与云主机不属于同一租户",
    "has only {} free addresses, {} are needed": "只剩 {} 个可用地址，需要 {} 个",
    "others were faster, several times": "多次被其他请求抢先",
    "has no free block left": "没有可用的网段",
    "a private network belongs to a tenant: open it with the tenant's token": "私有网络属于租户，请使用租户令牌开通",
    "VMs are in it: {}": "其中有云主机：{}",
    # quotas and tasks
    "the quota cannot be lowered under what is used: {}, {} used": "配额不能低于已用量：{}，已用 {}",
    "belongs to another version of the product": "属于产品的其他版本",
    "has ended already": "已经结束",
    "is ending already": "正在结束",
    "cannot be stopped once it runs": "执行后不能取消",
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
    # maintenance windows
    "a window needs a beginning and an end": "维护窗口需要起止时间",
    "starts_at and ends_at, or every_week": "起止时间，或每周的星期、开始时间和时长",
    "is not after the start": "不晚于开始时间",
    "a later moment": "更晚的时间",
    "weekdays, begins and minutes together": "星期、开始时间、时长三者同时提供",
    "no day, or no such day": "没有这样的星期",
    "some of 1 (Monday) to 7 (Sunday)": "1（星期一）到 7（星期日）中的若干个",
    "is missing: this server's own has no name": "缺失：服务器自身的时区没有名称",
    "{} is not a time": "{} 不是时间",
    "{} is not a time of day": "{} 不是一天中的时间",
    "{} is not known": "{} 不存在",
    "an IANA zone such as Asia/Shanghai": "IANA 时区，例如 Asia/Shanghai",
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
