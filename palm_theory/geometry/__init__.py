"""Arrays in, arrays out: the simplex, envelopes, hulls, grids, intervals, set covers. No policy, no backend."""
