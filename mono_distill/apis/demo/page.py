"""The HTML around the demo's results: one file, no script, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2

from mono_distill.utils.errors import DataError
from mono_distill.visualization.picture import Picture

# The policy keeps the promise even if a later change breaks it: a browser fetches and runs nothing.
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --soft: #586374; --rule: #d5dbe3; --tint: #f3f6f9;
  --c0: #0b6e4f; --c1: #b3541e; --c2: #6d7f94; --c3: #1f5fbf; --c4: #a3267f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181e; --ink: #e4e9f0; --soft: #9fabba; --rule: #333c48;
  --tint: #1c222b; --c0: #4cc79b; --c1: #f0965a; --c2: #97a6b8; --c3: #76a9ff; --c4: #ec85cb; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 1.2rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p, ul.text { max-width: 75ch; }
.lead { font-size: 1.08rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid var(--rule); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; } tbody th small { display: block; font-weight: 400; color: var(--soft); }
.charts, .cameras, .views { display: grid; gap: 1rem; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.cameras { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: .6rem 1rem; }
.views { grid-template-columns: repeat(5, 1fr); gap: .6rem; margin-top: .6rem; }
@media (max-width: 640px) { .views { grid-template-columns: repeat(2, 1fr); } th, td { padding: .4rem .5rem; } }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: 3px; }
.chart > svg { width: 100%; height: auto; display: block; }
.axis { fill: var(--soft); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--rule); } .frame { stroke: var(--soft); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line-0 { stroke: var(--c0); } .line-1 { stroke: var(--c1); stroke-dasharray: 8 3; }
.line-2 { stroke: var(--c2); stroke-dasharray: 2 3; } .line-3 { stroke: var(--c3); }
.line-4 { stroke: var(--c4); stroke-dasharray: 8 3 2 3; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .2rem 0 0; padding: 0;
  font-size: .9rem; }
.legend svg { width: 28px; height: 8px; margin-right: .4rem; vertical-align: middle; }
pre { background: var(--tint); padding: .7rem .9rem; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .82rem; line-height: 1.45; }
details > summary { cursor: pointer; }
"""


def page(title: str, sections: Sequence[str]) -> str:
    """Return a whole HTML document."""
    return _HEAD.format(title=escape(title), style=_STYLE, body='\n'.join(sections))


def section(heading: str, *parts: str) -> str:
    """Return a section with a heading."""
    name = heading.lower().replace(' ', '-').replace(',', '')
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(heading)}</h2>\n' + '\n'.join(parts) + '</section>'
    )


def paragraph(text: str, kind: str = '') -> str:
    """Return a paragraph of plain text."""
    return f'<p{_class(kind)}>{escape(text)}</p>'


def bullets(items: Sequence[str]) -> str:
    """Return a list of plain texts."""
    return '<ul class="text">' + ''.join(f'<li>{escape(item)}</li>' for item in items) + '</ul>'


def table(caption: str, columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """Return a table.

    Args:
        caption: What it holds.
        columns: Headings, that of the first column included.
        rows: Heading, small print under it, and the cells.
    """
    head = ''.join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = ''
    for name, note, cells in rows:
        small = f'<small>{escape(note)}</small>' if note else ''
        body += f'<tr><th scope="row">{escape(name)}{small}</th>'
        body += ''.join(f'<td>{escape(cell)}</td>' for cell in cells) + '</tr>\n'
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f'<tbody>\n{body}</tbody></table></div>'
    )


def code(lines: Sequence[str]) -> str:
    """Return lines of code."""
    return f'<pre><code>{escape(chr(10).join(lines))}</code></pre>'


def details(summary: str, *parts: str) -> str:
    """Return something that opens on demand."""
    return f'<details><summary>{escape(summary)}</summary>{"".join(parts)}</details>'


def group(kind: str, parts: Sequence[str]) -> str:
    """Return parts side by side, as many as fit."""
    return f'<div{_class(kind)}>{"".join(parts)}</div>'


def picture(image: Picture, caption: str, text: str, *, suffix: str, note: str = '') -> str:
    """Return a picture that is part of the page.

    Args:
        image: (H, W, 3) BGR.
        caption: Shown below it.
        text: For those who cannot see it.
        suffix: ``'.png'`` or ``'.jpg'``.
        note: Smaller text after the caption.

    Raises:
        DataError: OpenCV cannot encode it.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise DataError(f'OpenCV could not encode a picture as {suffix}')
    kind = {'.jpg': 'jpeg', '.png': 'png'}[suffix]
    content = base64.b64encode(data.tobytes()).decode('ascii')
    height, width = image.shape[:2]
    small = f' {escape(note)}' if note else ''
    return (
        f'<figure><img src="data:image/{kind};base64,{content}" width="{width}" height="{height}" alt="{escape(text)}">'
        f'<figcaption><b>{escape(caption)}</b>{small}</figcaption></figure>'
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ''
