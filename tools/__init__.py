"""Scripts of the repository, not of the package: run as ``python -m tools.NAME`` at its root, or by mkdocs."""
