"""Readers of published formats: the same problem in every format, defaults, and errors that say where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.programs.files import read_assignment, read_knapsack, read_program
from palm_theory.errors import InputError

VALUES = [[5, 3, 4], [1, 6, 2]]
WEIGHTS, CAPACITY = [2, 3, 4], 6

KIRLIK = "2\n3\n6\n[[5, 3, 4],\n[1, 6, 2]]\n[2, 3, 4]\n"
KIRLIK_PLAIN = "2 3 6\n5 3 4\n1 6 2\n2 3 4\n"
VOPTLIB = "# two objectives\n3\n2\n1\n5\n3\n4\n1\n6\n2\n2\n3\n4\n6\n"
MOBKP = "3 2\n6\n2 5 1\n3 3 6\n4 4 2\n"
MOBKP_WITH_FRONT = MOBKP + "2\n8 7\n9 3\n"
RAW = "3 1 2\n\nmaxsum maxsum\n\n5 3 4\n1 6 2\n\n2 3 4\n\n1 6\n\n0 0 0\n1 1 1\n"
ZITZLER = """knapsack problem specification (2 knapsacks, 2 items)
=
knapsack 1:
 capacity: +6
 item 1:
  weight: +2
  profit: +5
 item 2:
  weight: +3
  profit: +3
=
knapsack 2:
 capacity: +7.5
 item 1:
  weight: +1
  profit: +1
 item 2:
  weight: +4
  profit: +6
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (KIRLIK, "kirlik-sayin"),
        (KIRLIK_PLAIN, "kirlik-sayin"),
        (VOPTLIB, "voptlib"),
        (MOBKP, "mobkp"),
        (MOBKP_WITH_FRONT, "mobkp"),
        (RAW, "raw"),
    ],
)
def test_one_knapsack_in_every_format(tmp_path: Path, text: str, form: str) -> None:
    path = written(tmp_path, "kp.dat", text)
    for data in (read_knapsack(path), read_knapsack(path, form)):
        np.testing.assert_array_equal(data.values, VALUES)
        np.testing.assert_array_equal(data.weights, [WEIGHTS])
        np.testing.assert_array_equal(data.capacities, [CAPACITY])
        assert data.form == form


def test_zitzler_and_thiele_s_knapsacks_are_objectives_and_resources(tmp_path: Path) -> None:
    data = read_knapsack(written(tmp_path, "knapsack.2.2", ZITZLER))
    np.testing.assert_array_equal(data.values, [[5, 3], [1, 6]])
    np.testing.assert_array_equal(data.weights, [[2, 3], [1, 4]])
    np.testing.assert_array_equal(data.capacities, [6, 7.5])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2 3 6 5 3", "fits none of"),
        ("2 3 6\n5 x 4", "line 2: 'x' is not a number"),
        ("1 2", "too few"),
        ("2 2 6\n1 2\n3 4\n5 6", "choose one"),
        (ZITZLER.replace("capacity: +6", "capacity:"), "knapsack 1 needs one capacity"),
        (ZITZLER.replace("capacity: +6", "capacity: +-"), r"'\+-' is not a number"),
        (ZITZLER[: ZITZLER.index("knapsack 2:")], "promises 2 knapsacks of 2 items, the file holds 1 of 2"),
        (RAW.replace("maxsum maxsum", "maxsum minsum"), "palm build integer"),
        (RAW.replace("maxsum maxsum", "maxsum ratio"), "objective type 'ratio'"),
    ],
)
def test_a_knapsack_that_fits_no_format_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_knapsack(written(tmp_path, "kp.dat", text))


def test_assignments_with_and_without_the_number_of_objectives(tmp_path: Path) -> None:
    matrices = "[[1, 2], [3, 4]]\n[[5, 6], [7, 8]]\n[[9, 1], [2, 3]]\n"
    expected = [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 1], [2, 3]]]
    np.testing.assert_array_equal(read_assignment(written(tmp_path, "a.dat", "3\n2\n" + matrices)), expected)
    np.testing.assert_array_equal(read_assignment(written(tmp_path, "b.raw", "2\n" + matrices)), expected)
    with pytest.raises(InputError, match="neither d, n and d matrices"):
        read_assignment(written(tmp_path, "c.dat", "3\n2\n1 2 3\n"))


def test_an_assignment_that_lacks_its_last_numbers_is_no_other_one(tmp_path: Path) -> None:
    # 3 3 and 27 costs; without the last one the 28 numbers could be n = 3 and three matrices 3 x 3.
    costs = list(range(1, 28))
    rows = "\n".join(" ".join(map(str, costs[k : k + 3])) for k in range(0, 27, 3))
    for head in ("3 3\n", "3\n3\n", "3 3 "):
        assert read_assignment(written(tmp_path, "a.dat", head + rows)).shape == (3, 3, 3)
        for cut in (rows[: rows.rindex(" ")], rows.replace("\n", " ")[: rows.rindex(" ")]):
            with pytest.raises(InputError, match=r"its 28 numbers .* \(29 numbers for d = 3 and n = 3\)"):
                read_assignment(written(tmp_path, "a.dat", head + cut))
    for text in ("2\n1 2 3 4 5 6 7\n", "3 3.5\n1 2\n", "2 1 2 3 4\n", "7\n"):
        with pytest.raises(InputError, match=r"neither d, n and d matrices n x n.*, nor n alone on the first line"):
            read_assignment(written(tmp_path, "a.dat", text))


@pytest.mark.parametrize("count", ["nan", "inf", "-inf", "1e300", "2.5", "-2", "0"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_counts_that_are_no_counts_are_refused(tmp_path: Path, count: str, place: int) -> None:
    numbers = ["2", "2", "2", "1", "2", "3", "4", "5", "6"]
    numbers[place] = count
    path = written(tmp_path, "a.dat", " ".join(numbers))
    with pytest.raises(InputError, match=r"a\.dat"):
        read_assignment(path)
    for form in (None, "voptlib"):
        with pytest.raises(InputError, match=r"a\.dat"):
            read_knapsack(path, form)
    if place < 2:
        for form in ("kirlik-sayin", "mobkp"):
            with pytest.raises(InputError, match=r"a\.dat: the number of"):
                read_knapsack(path, form)


VLP = """c a comment
p vlp min 3 4 4 2 3
o 1 1 1
o 1 2 -2.5
o 2 3 1e1
a 1 1 1
a 1 2 1
a 2 3 -1
a 3 4 2
i 1 l 1
i 2 d -4 5
j 1 l 0
j 2 f
j 3 u 7
e
anything after the end
"""


def test_vlp_with_bensolve_s_defaults(tmp_path: Path) -> None:
    program = read_program(written(tmp_path, "a.vlp", VLP))
    assert program.minimize == (True, True)
    np.testing.assert_array_equal(program.costs, [[1, -2.5, 0, 0], [0, 0, 10, 0]])
    np.testing.assert_array_equal(program.matrix.toarray(), [[1, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 2]])
    # Rows without a line are free, variables without one are fixed at 0.
    np.testing.assert_array_equal(program.row_lower, [1, -4, -np.inf])
    np.testing.assert_array_equal(program.row_upper, [np.inf, 5, np.inf])
    np.testing.assert_array_equal(program.lower, [0, -np.inf, -np.inf, 0])
    np.testing.assert_array_equal(program.upper, [np.inf, np.inf, 7, 0])
    assert not program.integer.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("p vlp min 3 4 4 2 3", "p vlp min 3 4 4 2 3 cone 2 4"), "line 2: ordering cones"),
        (("p vlp min", "p lp min"), "line 2: the problem line"),
        (("a 3 4 2\n", ""), "promises 4 'a' lines, there are 3"),
        (("a 3 4 2", "a 4 4 2"), r"entry \(4, 4\) lies outside 3 x 4"),
        (("o 2 3 1e1", "o 2 3 ten"), "line 5: not a number"),
        (("i 2 d -4 5", "i 2 d -4"), "a row or variable is"),
        (("i 2 d -4 5", "i 1 d -4 5"), "a second line"),
        (("j 3 u 7", "q 3"), "unknown line 'q'"),
        (("i 2 d -4 5", "i 2 d 5 -4"), "row 2 has lower bound"),
        (("p vlp min 3 4 4 2 3\n", ""), "the first line must be"),
        (("j 3 u 7\ne\nanything after the end\n", ""), "a.vlp ends without the line `e`: it is cut short"),
    ],
)
def test_a_broken_vlp_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_program(written(tmp_path, "a.vlp", VLP.replace(*change)))


MPS = """* three kinds of rows, ranges, and integers
NAME          TEST
OBJSENSE
    MAX
ROWS
 N  cost 1 1 0 0
 N  profit
 L  r1
 G  r2
 E  r3
COLUMNS
    x         cost      1.0   profit    2.0
    x         r1        1.0   r2        1.0
    MARK      'MARKER'  'INTORG'
    y         cost      3.0   r1        1.0
    z         r3        1.0
    MARK      'MARKER'  'INTEND'
RHS
    rhs       r1        4.0   r2        1.0
    rhs       r3        2.0   profit    -5
RANGES
    rng       r1        2.5   r3        -1
BOUNDS
 UP bnd       x         4.0
 MI bnd       x
 UP bnd       z         9
ENDATA
"""


def test_mps_with_several_objectives(tmp_path: Path) -> None:
    program = read_program(written(tmp_path, "a.mop", MPS))
    assert program.objectives == ("cost", "profit")
    assert program.minimize == (False, False)
    np.testing.assert_array_equal(program.costs, [[1, 3, 0], [2, 0, 0]])
    np.testing.assert_array_equal(program.constants, [0, 5])
    np.testing.assert_array_equal(program.matrix.toarray(), [[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(program.row_lower, [1.5, 1, 1])
    np.testing.assert_array_equal(program.row_upper, [4, np.inf, 2])
    np.testing.assert_array_equal(program.lower, [-np.inf, 0, 0])
    np.testing.assert_array_equal(program.upper, [4, 1, 9])
    np.testing.assert_array_equal(program.integer, [False, True, True])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("r2        1.0\n    MARK", "r9        1.0\n    MARK"), "no row 'r9'"),
        ((" UP bnd       z", " UP bnd       w"), "no column 'w'"),
        ((" UP bnd       z", " SC bnd       z"), "bound type 'SC'"),
        (("    MAX", "    BEST"), "OBJSENSE must be MAX or MIN"),
        (("cost      3.0", "cost      three"), "line 15: cannot read"),
        ((" UP bnd       z         9\nENDATA\n", ""), "a.mps ends without ENDATA: it is cut short"),
    ],
)
def test_a_broken_mps_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_program(written(tmp_path, "a.mps", MPS.replace(*change)))


def test_raw_programs_keep_senses_signs_and_bounds(tmp_path: Path) -> None:
    text = "2 3 2\nminsum maxsum\n1 2\n3 4\n1 0\n0 1\n1 1\n0 5\n1 6\n2 7\n0 -1\n8 9\n"
    program = read_program(written(tmp_path, "a.fgt", text))
    assert program.minimize == (True, False)
    np.testing.assert_array_equal(program.row_lower, [5, -np.inf, 7])
    np.testing.assert_array_equal(program.row_upper, [np.inf, 6, 7])
    np.testing.assert_array_equal(program.lower, [0, -1])
    np.testing.assert_array_equal(program.upper, [8, 9])
    assert program.integer.all()


def test_the_raw_dialect_with_counts_of_nonzeros_has_binary_variables(tmp_path: Path) -> None:
    text = "3 1 2 3 6\n\nmaxsum maxsum \n\n5 3 4\n1 6 2\n\n2 3 4\n\n1 6"
    program = read_program(written(tmp_path, "a.raw", text))
    np.testing.assert_array_equal(program.costs, [[5, 3, 4], [1, 6, 2]])
    np.testing.assert_array_equal(program.lower, [0, 0, 0])
    np.testing.assert_array_equal(program.upper, [1, 1, 1])
    np.testing.assert_array_equal(program.row_upper, [6])
    knapsack, same = (read_knapsack(written(tmp_path, "kp.dat", t)) for t in (text, RAW))
    np.testing.assert_array_equal(knapsack.values, same.values)
    np.testing.assert_array_equal(knapsack.weights, same.weights)
    with pytest.raises(InputError, match="need 11 numbers after 2 types, the file holds 10"):
        read_program(written(tmp_path, "a.raw", text[:-2]))


def test_files_that_cannot_be_read_and_unknown_endings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_knapsack(tmp_path / "none.dat")
    (tmp_path / "binary.dat").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not a text file"):
        read_knapsack(tmp_path / "binary.dat")
    with pytest.raises(InputError, match="told by the ending"):
        read_program(written(tmp_path, "a.txt", VLP))
    assert read_program(written(tmp_path, "a.txt", VLP), "vlp").costs.shape == (2, 4)
