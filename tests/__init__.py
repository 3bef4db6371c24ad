"""Tests. A package, so that another distribution's top-level ``tests`` cannot stand in front of it."""
