"""Every error this package raises on purpose, so that callers can catch one family or one kind."""


class PalmError(Exception):
    """Base of all errors raised on purpose by palm_theory and its backends."""


class InputError(PalmError, ValueError):
    """An argument was refused before any work started; the text says what was wrong and what would be right."""


class CoverTooLargeError(InputError):
    """A cover has more points than the caller allowed; ``count`` is the exact number it would have."""

    def __init__(self, count: int, limit: int, what: str) -> None:
        self.count = count
        self.limit = limit
        super().__init__(
            f"{what} has {count} points, more than the limit of {limit}; "
            "stream it in blocks, choose coarser parameters, or raise max_points"
        )


class BackendError(PalmError, RuntimeError):
    """A backend raised, returned a wrong shape, a value out of range or NaN, or reported a failed solve."""


class ArtifactError(PalmError, ValueError):
    """A saved portfolio is missing, corrupt, interrupted, or of a newer schema."""


class JournalError(PalmError, RuntimeError):
    """A journal is corrupt, belongs to another problem, or is in use by another process."""


class OtherProblemError(JournalError, InputError):
    """A folder holds the work of another problem; nothing was touched."""


class CertificateError(PalmError, RuntimeError):
    """The target (epsilon, delta) cannot be certified with what is known of the optimal values."""


class ProfileError(PalmError, RuntimeError):
    """A store of user profiles cannot be read or written: corrupt, foreign, newer, locked for too long, disk full."""
