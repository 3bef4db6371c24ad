"""Multi-objective linear and integer programs as data: rows, vertices, dual bounds and file readers."""
