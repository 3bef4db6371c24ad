"""A user's own reward. Its bytes are part of what the stored run is known by: do not edit or format this file."""


def cheer(prompts, completions):
    """Share of 'happy' and 'good' among the words of a reply."""
    return [sum(w in ("happy", "good") for w in c.split()) / max(1, len(c.split())) for c in completions]
