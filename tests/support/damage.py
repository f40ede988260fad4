"""What becomes of KEY_PARAM between a caller and the service: the JSON text, its Base64, and the form around it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data; boundary=b"
Texts = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Damage:
    """Names of what is done, layer by layer; `at` says where, for those that need a place."""

    text: str = "plain"
    packing: str = "standard"
    body: str = "form"
    type: str = _FORM
    at: int = 0

    def packed(self, params: Any) -> bytes:
        """The body that carries `params`."""
        text = _TEXTS[self.text](_json(params))
        return _BODIES[self.body](_cut(_PACKINGS[self.packing](text), self.at))


INTACT: Final = Damage()


def damages() -> st.SearchStrategy[Damage]:
    """One layer at a time, or all of them."""
    texts, packings = st.sampled_from(list(_TEXTS)), st.sampled_from(list(_PACKINGS))
    bodies, types = st.sampled_from(list(_BODIES)), st.sampled_from(_TYPES)
    return st.one_of(
        st.builds(Damage, text=texts),
        st.builds(Damage, packing=packings),
        st.builds(Damage, body=bodies),
        st.builds(Damage, body=st.sampled_from([name for name in _BODIES if "part" in name]), type=st.just(_MULTIPART)),
        st.builds(Damage, at=st.integers(1, 40)),
        st.builds(Damage, texts, packings, bodies, types, st.integers(0, 40)),
    )


def _json(params: Any) -> bytes:
    """Escaped, so that half a surrogate pair comes through as what it is."""
    return json.dumps(params).encode()


def _raw(text: bytes) -> bytes:
    """The same with its characters as they are."""
    return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _doubled(text: bytes) -> bytes:
    """Each key twice, the second time with nothing."""
    return text.replace(b"{", b'{"vm.id": null, "app.id": {}, "vm.id": [], "page.startnum": 0, ', 1).replace(
        b", }", b"}"
    )


def _cut(packed: bytes, at: int) -> bytes:
    return packed[: -at or None]


def _part(value: bytes, disposition: bytes = b'form-data; name="KEY_PARAM"', end: bytes = b"--b--\r\n") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + value + b"\r\n" + end


def _form(value: bytes) -> bytes:
    return urlencode({"KEY_PARAM": value}).encode()


_FILE: Final = b'form-data; name="a"; filename="b"'
_TEXTS: Final[dict[str, Texts]] = {
    "plain": lambda text: text,
    "raw characters": _raw,
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "latin-1": lambda text: text + b"\xff\xfe",
    "doubled keys": _doubled,
    "NaN": lambda text: text.replace(b":", b': NaN, "x":', 1),
    "Infinity": lambda text: text.replace(b"}", b', "page.startnum": -Infinity}', 1),
    "huge exponent": lambda text: text.replace(b"}", b', "vm.vcpu.num": 1e99999}', 1),
    "depth of lists": lambda _: b'{"vm.id": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "depth of objects": lambda text: b'{"a":' * 20_000 + text + b"}" * 20_000,
    "depth that is allowed": lambda text: b'{"vm.id": ' + b"[" * 14 + text + b"]" * 14 + b"}",
    "half": lambda text: text[: len(text) // 2],
    "text twice": lambda text: text * 2,
    "comment": lambda text: b"/* */" + text,
    "nothing": lambda _: b"",
    "many keys": lambda _: json.dumps({f"k{number}": number for number in range(20_000)}).encode(),
    "long text": lambda _: json.dumps({"vm.id": "x" * 400_000, "app.name": "云" * 20_000}).encode(),
    "blob": lambda _: bytes(range(256)),
}
_PACKINGS: Final[dict[str, Texts]] = {
    "standard": base64.b64encode,
    "URL-safe": base64.urlsafe_b64encode,
    "without padding": lambda text: base64.b64encode(text).rstrip(b"="),
    "too much padding": lambda text: base64.b64encode(text) + b"===",
    "in lines": base64.encodebytes,
    "twice": lambda text: base64.b64encode(base64.b64encode(text)),
    "escaped": lambda text: quote(base64.b64encode(text)).encode(),
    "base 85": base64.b85encode,
    "not at all": lambda text: text,
    "with a hole": lambda text: base64.b64encode(text)[:9] + b"=\0=" + base64.b64encode(text)[9:],
    "with signs": lambda text: "＋💥".encode() + base64.b64encode(text),
}
_BODIES: Final[dict[str, Texts]] = {
    "form": _form,
    "twice": lambda value: b"KEY_PARAM=e30%3D&" + _form(value),
    "then nothing": lambda value: _form(value) + b"&KEY_PARAM=",
    "other name": lambda value: b"key_param=" + value,
    "list name": lambda value: b"KEY_PARAM[]=" + value,
    "bare": lambda value: value,
    "unescaped": lambda value: b"KEY_PARAM=" + value,
    "bad escapes": lambda value: b"KEY_PARAM=%zz%" + value + b"%e5",
    "many fields": lambda value: b"a=1&" * 200 + _form(value),
    "semicolons": lambda value: _form(value) + b";x=1;;&&=&",
    "too large": lambda value: _form(value) + b"&x=" + b"y" * (1024 * 1024),
    "noise": lambda value: bytes(reversed(value)) + b"\xff\x00",
    "empty": lambda _: b"",
    "part": _part,
    "file part": lambda value: _part(value, b'form-data; name="KEY_PARAM"; filename="../../x"'),
    "part without end": lambda value: _part(value, end=b""),
    "part without name": lambda value: _part(value, b"form-data"),
    "part of strange name": lambda value: _part(value, 'form-data; name="KEY_PARAM\ud83d'.encode("utf-8", "replace")),
    "two file parts": lambda value: _part(
        value, b'form-data; name="a"; filename="b"', _part(value, b'form-data; name="c"; filename=""')
    ),
    "part of noise": lambda value: _part(b"\xff\xfe\x00" + value),
}
_TYPES: Final = (
    _FORM, f"{_FORM}; charset=utf-16", "", "application/json", "text/plain", _MULTIPART, "multipart/form-data",
    "multipart/form-data; boundary=", "multipart/form-data; boundary=b; charset=no-such",
    "MULTIPART/FORM-DATA; boundary=b", "multipart/form-data; boundary=" + "b" * 300, "application/octet-stream", ";;;=",
)  # fmt: skip
