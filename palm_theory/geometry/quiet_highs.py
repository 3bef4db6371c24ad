"""HiGHS without its banner: highspy prints one on construction, before any option can be set."""

from __future__ import annotations

import highspy


class QuietHighs(highspy.Highs):
    """A HiGHS instance that prints nothing and uses one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.setOptionValue("threads", 1)

    def enableCallbacks(self) -> None:
        """HiGHS's own, after silencing it."""
        # The constructor's first act is this call, and it is what prints the banner.
        self.silent()
        super().enableCallbacks()
