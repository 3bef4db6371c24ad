"""The README's table of sizes is what the script prints."""

from __future__ import annotations

import re

from benchmarks.promised_sizes import DIMENSIONS, rows
from tests.helpers import ROOT


def test_the_table_of_the_readme_is_the_script_s() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for row in rows():
        (line,) = [line for line in readme.splitlines() if line.startswith("| ") and row[""] in line]
        shown = [int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+) (?=\|)", line)]
        assert shown == [row[f"d = {d}"] for d in DIMENSIONS]
