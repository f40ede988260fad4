"""Chinese for the English texts of the domain's refusals. `{}` stands for a part that varies and is kept, in order."""

from __future__ import annotations

import re
from functools import cache

NOUNS = {
    "VM": "云主机",
    "host": "主机",
    "tenant": "租户",
    "token": "令牌",
    "template": "模板",
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
    "load balancer": "负载均衡",
    "back-end node": "后端节点",
    "dictionary entry": "字典项",
    "router": "云路由",
    "mapping": "映射",
    "pool": "外网IP地址池",
    "inner IP": "内网IP",
    "platform": "平台",
    "NIC": "网卡",
    "security group": "安全组",
    "security group rule": "安全组规则",
    "access rule": "访问控制规则",
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
    "{} is neither an address nor a network": "{} 既不是地址也不是网段",
    "addresses and networks such as 10.0.0.5, 10.1.0.0/24, with commas between": (
        "地址和网段，例如 10.0.0.5, 10.1.0.0/24，以逗号分隔"
    ),
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
    "no host can take it": "没有主机可以容纳",
    "no host can take it: others were faster, several times": "没有主机可以容纳：多次被其他请求抢先",
    "its host has not enough room": "所在主机资源不足",
    "its console cannot be reached": "无法取得控制台",
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
    "is not stopped: only a stopped VM becomes a template": "未停止，只有停止的云主机才能成为模板",
    "is being cloned: {} VMs are made from it": "正在被克隆：有 {} 台云主机由它创建中",
    "{} disks are too many beside the {} there are": "已有 {1} 块磁盘，不能再加 {0} 块",
    "the hypervisors run no VMs inside VMs": "虚拟化主机不支持嵌套虚拟化",
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
    # load balancers
    "load balancers listen or have nodes in it: {}": "其中有负载均衡的前端地址或后端节点：{}",
    "an outer IP that nothing uses, or not exclusively": "未被使用的外网IP，或改为非独享",
    "the gateway, or a free address, of a private network that is attached to the router": (
        "接入该云路由的私有网络的网关或空闲地址"
    ),
    "a port of the address that nothing uses": "该地址上未被使用的端口",
    "an address that it shares": "可共享的地址",
    "{} is no address of a host": "{} 不是主机地址",
    "{} is in no network of the router": "{} 不在该云路由接入的网络中",
    "{} is the address of a NIC": "{} 是网卡的地址",
    "the router itself serves {}/{}": "{}/{} 由云路由自身使用",
    "{} is the address of its router": "{} 是云路由自身的地址",
    "{} has ports in use": "{} 已有端口在使用",
    "{}/{} of {} is mapped to {} already": "{2} 的 {0}/{1} 已映射到 {3}",
    "load balancer {} listens on {}/{} of {}": "{3} 的 {1}/{2} 已由负载均衡 {0} 使用",
    "{} is used by load balancer {} alone": "{} 由负载均衡 {} 独享",
    "{} is used by load balancer {}": "{} 正由负载均衡 {} 使用",
    "an address of the VM in a private network that is attached to the load balancer's router": (
        "云主机在接入该云路由的私有网络中的地址"
    ),
    "{} is no address of VM {}": "{} 不是云主机 {} 的地址",
    "has the node {}:{} already": "已有后端节点 {}:{}",
    "has no certificate: its protocol is {}": "没有证书：其协议为 {}",
    "does not begin with that of its router": "未以其云路由编号开头",
    "{}, or {}_ and letters or digits": "{}，或 {}_ 加字母或数字",
    "exists already": "已存在",
    "does not go with {}": "不适用于 {}",
    "nothing, or https as the protocol": "不填写，或协议改为 https",
    "a certificate and its key, for https": "https 需要证书和私钥",
    "is not the path of a URL": "不是 URL 路径",
    "a path such as /health, percent-encoded where it needs to be": "路径，例如 /health，必要时百分号编码",
    "does not belong to the certificate": "与证书不匹配",
    "the key that the certificate was made for": "该证书对应的私钥",
    "has expired: {}": "已于 {} 过期",
    "a certificate that is valid": "有效期内的证书",
    "is not a certificate": "不是证书",
    "is for an unknown kind of key": "密钥类型未知",
    "is not a private key": "不是私钥",
    "has a passphrase": "设有密码",
    "is of a kind or size that is not secure": "密钥类型或长度不安全",
    "PEM, -----BEGIN CERTIFICATE-----; more of the chain may follow the server's own": (
        "PEM 格式，-----BEGIN CERTIFICATE-----；服务器证书在前，其后可附证书链"
    ),
    "PEM, -----BEGIN PRIVATE KEY-----, without a passphrase": "PEM 格式，-----BEGIN PRIVATE KEY-----，无密码",
    "RSA of at least 2048 bits, an elliptic curve of at least 224 bits, or Ed25519": (
        "至少 2048 位的 RSA、至少 224 位的椭圆曲线，或 Ed25519"
    ),
    # filters of traffic
    "{} is IPv6, which networks do not carry": "{} 是 IPv6，网络仅支持 IPv4",
    "an IPv4 address": "IPv4 地址",
    "{} is not an IP address or block": "{} 不是 IP 地址或网段",
    "{} is an address inside a block": "{} 是网段中的一个地址",
    "{} for the block, {} for the address": "网段写作 {}，地址写作 {}",
    "IPv4 addresses and blocks with commas, such as 10.0.0.5,10.1.0.0/24": (
        "IPv4 地址或网段，以逗号分隔，例如 10.0.0.5,10.1.0.0/24"
    ),
    "{} is not a port or a range": "{} 不是端口或端口段",
    "{} is out of range": "{} 超出范围",
    "{} ends before it begins": "{} 的终止端口小于起始端口",
    "ports of 1-65535 and ranges of them with commas, such as 80:83,85,87": (
        "1-65535 的端口或端口段，以逗号分隔，例如 80:83,85,87"
    ),
    "is missing, while ports are given": "缺失，而提供了端口",
    "tcp or udp": "tcp 或 udp",
    "does not go with icmp": "不适用于 icmp",
    "nothing, or tcp or udp as the protocol": "不填写，或协议改为 tcp 或 udp",
    "is missing for a rule inside the network": "缺失，网络内部的规则需要方向",
    "in or out": "in 或 out",
    "{} is not the address of the VM": "{} 不是该云主机的地址",
    "nothing, or {}": "不填写，或 {}",
    "{} NICs have this address": "有 {} 块网卡使用此地址",
    "is in no private network, whose boundary could be guarded": "不在任何私有网络中，没有网络边界",
    "the tenant whose group it is, for a platform token": "使用平台令牌时，须指定安全组所属租户",
    "VMs are bound to it: {}": "已绑定云主机：{}",
    "belongs to another tenant than the security group": "与安全组不属于同一租户",
    "does not go with the direction {}": "不适用于方向 {}",
    "nothing: it is the group itself": "不填写，即安全组自身",
    # outer IPs, mappings, routers
    "{} is not in {}": "{} 不在 {} 中",
    "addresses of the gateway's network": "网关所在网络的地址",
    "{} overlaps private networks": "{} 与私有网络的网段重叠",
    "addresses outside {}": "{} 之外的地址",
    "{} is too large": "{} 过大",
    "at most {} addresses": "最多 {} 个地址",
    "{} has no usable address": "{} 中没有可用的地址",
    "a block or a range of IPv4 addresses, such as 192.0.2.0/24 or 192.0.2.10-192.0.2.99": (
        "IPv4 网段或地址范围，例如 192.0.2.0/24 或 192.0.2.10-192.0.2.99"
    ),
    "its addresses are in use: {}": "其中的地址正在使用：{}",
    "{} is not one block": "{} 不是一个网段",
    "a netmask such as 255.255.255.0": "子网掩码，例如 255.255.255.0",
    "{} is not a netmask": "{} 不是子网掩码",
    "{} is an end of {}": "{} 是 {} 的首尾地址",
    "an address inside {}": "{} 内的地址",
    "has {} already": "已包含 {}",
    "another pool with some of its addresses was added at the same time": "同时添加了地址重叠的另一个地址池",
    "{} is held by another router, {}": "{} 由另一个云路由 {} 持有",
    "an outer IP that is free, as found by cloudip/mapping/outerIp/search": (
        "空闲的外网IP，可用 cloudip/mapping/outerIp/search 查询"
    ),
    "{} is mapped to {} as a whole": "{} 已整体映射到 {}",
    "has no free outer IP": "没有空闲的外网IP",
    "{} is not a free outer IP": "{} 不是空闲的外网IP",
    "no router is attached to its networks": "其子网未接入云路由",
    "no router is attached to its network": "其子网未接入云路由",
    "is mapped to {} already": "已映射到 {}",
    "a router belongs to a tenant: create it with the tenant's token": "云路由属于租户，请使用租户令牌创建",
    "is being created": "正在创建",
    "networks are attached: {}": "有子网接入：{}",
    "load balancers are on it: {}": "其上有负载均衡：{}",
    "the id of a private network": "私有网络编号",
    "is attached to router {} already": "已接入云路由 {}",
    "is attached to no router": "未接入云路由",
    "is attached to router {}": "已接入云路由 {}",
    "VMs in it are mapped: {}": "其中有云主机已做映射：{}",
    "has no router": "没有云路由",
    "belongs to another tenant than the private network": "与私有网络不属于同一租户",
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
