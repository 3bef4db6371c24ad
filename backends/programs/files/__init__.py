"""Readers of the text formats in which multi-objective linear, integer, knapsack and assignment problems are published.

Each reader takes a path and returns plain data; nothing is solved. ``read_program`` reads .vlp, .mps, .mop, .fgt and
.raw; ``read_knapsack`` and ``read_assignment`` find out the format from the numbers in the file.
"""

from backends.programs.files.assignment import read_assignment
from backends.programs.files.knapsack import KnapsackData, read_knapsack
from backends.programs.files.program import PROGRAM_FORMATS, read_program

__all__ = ["PROGRAM_FORMATS", "KnapsackData", "read_assignment", "read_knapsack", "read_program"]
