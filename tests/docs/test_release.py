"""What is said in several files of a release agrees."""

from __future__ import annotations

import re

import palm_theory
from tests.helpers import ROOT


def test_the_version_is_the_changelogs_newest_and_the_citations():
    changelog = re.findall(r"^## (\d\S*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    citation = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), flags=re.MULTILINE)
    assert [palm_theory.__version__] == changelog[:1] == citation


def test_both_packages_say_that_they_are_typed():
    assert all((ROOT / package / "py.typed").exists() for package in ("palm_theory", "backends"))
