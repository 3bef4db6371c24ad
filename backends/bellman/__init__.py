"""Finite Markov decision processes: what rules collect, and optima with proven upper bounds, rounding included."""
