"""What several folders of tests use: instances to run on, faults, clusters."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the repository."""
