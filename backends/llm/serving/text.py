"""From tokens to text as they come: whole characters only, ended before a stop string."""

from __future__ import annotations

from typing import Any

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """The text of one completion. ``push`` takes a token and returns the text that is now certain."""

    def __init__(self, tokenizer: Any, stops: tuple[str, ...] = ()) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = stops
        self._tokens: list[int] = []
        # Text depends on the tokens before it (spaces), so a window is decoded, and decoded again one token longer.
        self._window = 0
        self._decoded = 0
        self._held = ""

    def push(self, token: int) -> str:
        """The text that is certain after one more token; sets ``stopped`` where a stop string was completed."""
        self._tokens.append(token)
        return self._certain(self._new_text(last=False))

    def finish(self) -> str:
        """The text that was held back, at the end of the completion."""
        text = self._certain(self._new_text(last=True))
        rest, self._held = ("" if self.stopped else self._held), ""
        return text + rest

    def _new_text(self, *, last: bool) -> str:
        before = self._decode(self._tokens[self._window : self._decoded])
        after = self._decode(self._tokens[self._window :])
        if len(after) <= len(before) or (after.endswith(UNFINISHED) and not last):
            return ""
        self._window, self._decoded = self._decoded, len(self._tokens)
        return after[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True) if tokens else ""

    def _certain(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        kept = max((_overlap(text, stop) for stop in self._stops), default=0)
        cut = len(text) - kept
        self._held = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of ``text`` with which ``stop`` begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
