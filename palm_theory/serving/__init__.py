"""The router: one OpenAI-compatible endpoint that sends every request to the policy its user's weights choose.

Needs the extra ``serve`` and no torch. Submodules import what they need; this package imports nothing.
"""
