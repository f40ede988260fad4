"""The service description for people: every operation with its parameters, its answer and who may call it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from api.wire.answers import AnswerField
from api.wire.codec import PARAMETER
from api.wire.describe.style import CSS, FILTER
from api.wire.languages import Language, Text
from api.wire.operation import Operation, Section
from api.wire.parameters import Parameter
from core import __version__
from core.context import Role

_TITLE: Final = Text("starvc 接口说明", "starvc service description")
_ABOUT: Final = Text(
    "StarVCenter 格式的接口。请求头 KEY_TOKEN 为令牌；表单字段 KEY_PARAM 为 UTF-8 JSON 的 Base64 编码；"
    "响应整体为 UTF-8 JSON 的 Base64 编码。",
    "Operations in the StarVCenter format. The header KEY_TOKEN holds the token; the form field KEY_PARAM holds UTF-8"
    " JSON in Base64; the whole answer is UTF-8 JSON in Base64.",
)
_COUNTS: Final = Text(
    "文档接口 {documented} 个；扩展接口 {extensions} 个。",
    "{documented} operations of the document; {extensions} extensions.",
)
_EXTENSION: Final = Text("扩展", "extension")
_PLATFORM: Final = Text("平台令牌", "platform token")
_BOTH: Final = Text("租户或平台令牌", "tenant or platform token")
_PARAMETERS: Final = Text("参数", "Parameters")
_ANSWER: Final = Text("返回值 data", "Answer, data")
_NAME: Final = Text("名称", "Name")
_ALLOWED: Final = Text("取值", "Values")
_REQUIRED: Final = Text("必需", "required")
_DEFAULT: Final = Text("默认", "default")
_NO_PARAMETERS: Final = Text("无参数", "No parameters")
_NO_DATA: Final = Text("无数据", "No data")
_ONLY_PLATFORM: Final = Text("仅平台令牌可见", "platform token only")
_FILTER: Final = Text("筛选接口", "Filter operations")
_OTHER: Final = Text("English", "中文")


def page(sections: Sequence[Section], language: Language, *, base: str, wadl: str, openapi: str) -> str:
    """A whole HTML document. `base` is the absolute base URL; `wadl` and `openapi` are the paths of the other forms."""
    operations = [operation for section in sections for operation in section.operations]
    documented = [operation for operation in operations if not operation.is_extension]
    counts = _COUNTS.of(language).format(
        documented=len(documented),
        extensions=len(operations) - len(documented),
    )
    other = Language.EN if language is Language.ZH else Language.ZH
    links = (("WADL", wadl), ("OpenAPI", openapi), ("/metrics", "/metrics"), (_OTHER.of(language), f"?lang={other}"))
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_TITLE.of(language)}</title><style>{CSS}</style></head><body>
<header class="top"><h1>{_TITLE.of(language)} <small class="mark">{escape(__version__)}</small></h1>
<p>{_ABOUT.of(language)}</p><p>{counts}</p>
<div class="links">{"".join(f'<a href="{escape(target)}">{escape(name)}</a>' for name, target in links)}</div>
<pre>{escape(_example(base))}</pre></header>
<div class="body"><nav>
<input id="filter" type="search" placeholder="{_FILTER.of(language)}" aria-label="{_FILTER.of(language)}">
{"".join(_entry(section, language) for section in sections)}</nav>
<main>{"".join(_section(section, language) for section in sections)}</main></div>
<script>{FILTER}</script></body></html>
"""


def _example(base: str) -> str:
    return (
        f'curl -s {base}/cloudvm/search -H "KEY_TOKEN: $TOKEN" \\\n'
        f'  --data-urlencode "{PARAMETER}=$(printf \'%s\' \'{{"page.startnum":1,"page.everypagenum":10}}\' | base64)"'
        " | base64 -d"
    )


def _anchor(section: Section) -> str:
    return f"s{section.number}" if section.number else f"x-{section.title.en.lower().replace(' ', '-')}"


def _entry(section: Section, language: Language) -> str:
    title = escape(section.title.of(language))
    return f'<a href="#{_anchor(section)}">{title} <span>{len(section.operations)}</span></a>'


def _section(section: Section, language: Language) -> str:
    rows = "".join(_operation(operation, language) for operation in section.operations)
    number = f"<small>{escape(section.number)}</small>" if section.number else ""
    return f'<section id="{_anchor(section)}"><h2>{escape(section.title.of(language))}{number}</h2>{rows}</section>\n'


def _operation(operation: Operation, language: Language) -> str:
    find = escape(f"{operation.name} {operation.title.zh} {operation.title.en} {operation.section}".lower())
    head = (
        f'<span class="method {operation.method}">{operation.method}</span>'
        f'<code class="path">{escape(operation.path)}</code>'
        f'<span class="title">{escape(operation.title.of(language))}</span>{_marks(operation, language)}'
    )
    inside = (
        f"<h3>{_PARAMETERS.of(language)}</h3>{_parameters(operation.parameters, language)}"
        f"<h3>{_ANSWER.of(language)}</h3>{_fields(operation.fields, language)}"
    )
    return f'<details data-find="{find}"><summary>{head}</summary><div class="inside">{inside}</div></details>\n'


def _marks(operation: Operation, language: Language) -> str:
    role = _PLATFORM if operation.role is Role.PLATFORM else _BOTH
    marks = [operation.section, role.of(language)]
    if operation.is_extension:
        marks[0] = _EXTENSION.of(language)
    return "".join(f'<span class="mark">{escape(mark)}</span>' for mark in marks)


def _parameters(parameters: Sequence[Parameter], language: Language) -> str:
    if not parameters:
        return f"<p>{_NO_PARAMETERS.of(language)}</p>"
    rows = "".join(_rows(parameters, language, ""))
    return f"<table><tr><th>{_NAME.of(language)}</th><th>{_ALLOWED.of(language)}</th></tr>{rows}</table>"


def _rows(parameters: Sequence[Parameter], language: Language, prefix: str) -> Iterable[str]:
    for parameter in parameters:
        star = f'<span class="star" title="{_REQUIRED.of(language)}">*</span>' if parameter.required else ""
        default = parameter.schema.get("default")
        usual = f"; {_DEFAULT.of(language)} {str(default).lower()}" if isinstance(default, (bool, int)) else ""
        allowed = escape(parameter.allowed.of(language) + usual)
        yield f"<tr><td><code>{escape(prefix + parameter.name)}</code> {star}</td><td>{allowed}</td></tr>"
        yield from _rows(parameter.inner, language, f"{prefix}{parameter.name}[].")


def _fields(fields: Sequence[AnswerField], language: Language) -> str:
    if not fields:
        return f"<p>{_NO_DATA.of(language)}</p>"
    return f'<div class="fields">{"".join(_field(field, language) for field in fields)}</div>'


def _field(field: AnswerField, language: Language) -> str:
    if field.inner:
        inner = "".join(_field(item, language) for item in field.inner)
        return f"<code>{escape(field.name)}</code> [ {inner} ]"
    only = f' <span class="mark">{_ONLY_PLATFORM.of(language)}</span>' if field.platform_only else ""
    return f"<code>{escape(field.name)}</code>{only}"
