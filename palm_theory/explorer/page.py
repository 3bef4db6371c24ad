"""One self-contained HTML file: template, style, program and data in one, with a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import Any

SCRIPTS = (
    "envelope.js",
    "optimum.js",
    "weights.js",
    "elements.js",
    "fills.js",
    "segment.js",
    "triangle.js",
    "controls.js",
    "serving.js",
    "sizes.js",
    "table.js",
    "answers.js",
    "main.js",
)
"""In the order in which they need each other."""


def render(data: dict[str, Any]) -> str:
    """The page as text. The data is inert JSON: no string in it can end its element or start another."""
    style = _asset("page.css")
    program = '"use strict";\n(() => {\n' + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();\n"
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src '{_digest(program)}'; style-src '{_digest(style)}'"
    )
    return Template(_asset("page.html")).substitute(
        policy=html.escape(policy),
        title=html.escape(str(data["title"])),
        style=style,
        data=embedded_json(data),
        program=program,
    )


def embedded_json(data: Any) -> str:
    """JSON in ASCII without <, > or &, so that it means the same inside an HTML script element. NaN is refused."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _asset(name: str) -> str:
    return (files("palm_theory.explorer") / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
