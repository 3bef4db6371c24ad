"""Backends of palm_theory: each module imports its heavy libraries lazily, and only its own."""
