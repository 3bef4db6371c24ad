"""The gallery: its script runs, and its page shows what the script draws."""

from __future__ import annotations

import importlib.util
import re

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "how-to" / "plots.md").read_text("utf-8")
IMAGES = ROOT / "docs" / "images" / "plots"


def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_every_figure_of_the_script_and_no_other():
    shown = re.findall(r"\.\./images/plots/([\w-]+)\.png", PAGE)
    assert sorted(shown) == sorted(gallery().FIGURES)
    assert sorted(path.stem for path in IMAGES.glob("*.png")) == sorted(shown)
    assert all(path.stat().st_size < 80_000 for path in IMAGES.glob("*.png"))


def test_the_script_draws(tmp_path, capsys):
    gallery().main(["--out", str(tmp_path), "--only", "users", "regions-two"])
    assert len(capsys.readouterr().out.splitlines()) == 2
    for name in ("users", "regions-two"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
