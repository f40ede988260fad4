"""Look of the description page: no outside assets, light and dark, readable without scripts."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { --ink:#1c2430; --soft:#5b6878; --line:#dde3ea; --paper:#fff; --back:#f5f7fa; --code:#eef2f6; --accent:#0b63ce;
  --get:#17803d; --post:#0b63ce; --put:#a15c00; --delete:#b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e9f0; --soft:#9aa7b6; --line:#2c3542; --paper:#171d26;
  --back:#10151c; --code:#202834; --accent:#6cb0ff; --get:#5fd38a; --post:#6cb0ff; --put:#f0b357; --delete:#ff8a80; } }
* { box-sizing:border-box }
body { margin:0; background:var(--back); color:var(--ink); line-height:1.5;
  font:15px/1.5 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif }
a { color:var(--accent); text-decoration:none } a:hover { text-decoration:underline }
code, pre { font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; font-size:.92em }
.top { max-width:1180px; margin:0 auto; padding:28px 20px 8px }
.top h1 { margin:0 0 4px; font-size:1.7em; letter-spacing:-.01em } .top p { margin:.3em 0; color:var(--soft) }
.links { display:flex; flex-wrap:wrap; gap:6px 18px; margin:12px 0 }
pre { background:var(--code); border-radius:8px; padding:12px 14px; overflow:auto; margin:10px 0 }
.body { max-width:1180px; margin:0 auto; padding:0 20px 60px; display:grid; grid-template-columns:210px 1fr; gap:28px }
nav { position:sticky; top:12px; align-self:start; max-height:calc(100vh - 24px); overflow:auto; font-size:.93em }
nav a { display:flex; justify-content:space-between; padding:3px 8px; border-radius:6px; color:var(--ink) }
nav a:hover { background:var(--code); text-decoration:none } nav span { color:var(--soft) }
input { width:100%; padding:8px 10px; border:1px solid var(--line); border-radius:8px; background:var(--paper);
  color:var(--ink); font:inherit; margin-bottom:10px }
section { margin:0 0 26px; scroll-margin-top:12px } h2 { font-size:1.15em; margin:18px 0 8px }
h2 small { color:var(--soft); font-weight:400; margin-left:.5em }
details { background:var(--paper); border:1px solid var(--line); border-radius:8px; margin:6px 0 }
summary { display:flex; align-items:center; gap:10px; padding:8px 12px; flex-wrap:wrap }
summary { cursor:pointer; list-style:none } summary::-webkit-details-marker { display:none }
.method { font:600 .78em ui-monospace,Menlo,Consolas,monospace; width:58px; text-align:center; padding:2px 0;
  border-radius:5px; border:1px solid currentColor }
.GET { color:var(--get) } .POST { color:var(--post) } .PUT { color:var(--put) } .DELETE { color:var(--delete) }
.path { font-weight:600 } .title { color:var(--soft); flex:1; min-width:140px }
.mark { font-size:.78em; padding:1px 8px; border-radius:9px; background:var(--code); color:var(--soft);
  white-space:nowrap }
.inside { padding:2px 14px 12px; border-top:1px solid var(--line) } .inside h3 { font-size:.9em; margin:12px 0 4px }
table { border-collapse:collapse; width:100%; font-size:.93em }
th { text-align:left; font-weight:500; color:var(--soft); padding:3px 10px 3px 0; border-bottom:1px solid var(--line) }
td { padding:4px 10px 4px 0; vertical-align:top; border-bottom:1px solid var(--line) } tr:last-child td { border:0 }
.star { color:var(--delete); font-weight:700 } .fields code { display:inline-block; margin:2px 12px 2px 0 }
@media (max-width:800px) { .body { grid-template-columns:1fr } nav { position:static } }
"""
FILTER: Final = """
const box = document.getElementById('filter');
box.addEventListener('input', () => {
  const wanted = box.value.trim().toLowerCase();
  for (const row of document.querySelectorAll('[data-find]'))
    row.hidden = !row.dataset.find.includes(wanted);
  for (const part of document.querySelectorAll('main section'))
    part.hidden = !part.querySelector('[data-find]:not([hidden])');
});
"""
