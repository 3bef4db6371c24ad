"""The fronts that the main job uses are MO-Gymnasium's own, and its figure is drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks import main_job
from benchmarks.export_fronts import fronts
from palm_theory.errors import InputError
from palm_theory.plots import Curve, size_against_epsilon


@pytest.mark.filterwarnings("ignore")
def test_stored_fronts_are_mo_gymnasium_s():
    for stem, (objectives, points) in fronts().items():
        with (main_job.FRONTS / f"{stem}.csv").open() as file:
            rows = list(csv.reader(file))
        assert rows[0] == list(objectives)
        np.testing.assert_array_equal([[float(cell) for cell in row] for row in rows[1:]], points)


def test_figure_draws_every_curve_and_leaves_out_what_no_logarithm_can_show(tmp_path: Path):
    curves = [Curve("a", (2, 4), (0.1, 0.0)), Curve("b", (3,), (0.2,)), Curve("c", (5,), (0.0,))]
    ax = size_against_epsilon(curves)
    drawn = {line.get_label(): line.get_xdata().tolist() for line in ax.lines}
    assert drawn == {"a": [2], "b": [3]}
    ax.figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="at least one curve"):
        size_against_epsilon([])
