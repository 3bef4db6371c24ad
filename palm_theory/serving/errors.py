"""Errors as an OpenAI client reads them: a status, and {"error": {message, type, param, code}}."""

from __future__ import annotations

from typing import Any

from palm_theory.errors import PalmError

LONGEST_MESSAGE = 500


class ApiError(PalmError):
    """A request that is answered with an error.

    ``status`` is the HTTP status, ``code`` a stable word for programs, ``param`` the field at fault, ``retry_after``
    the seconds after which asking again makes sense (header Retry-After), or None where it makes none.
    """

    def __init__(
        self, status: int, message: str, *, code: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        self.status = status
        self.message = message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + "…"
        self.code = code
        self.param = param
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def type(self) -> str:
        """OpenAI's class of the error."""
        if self.status == 401:
            return "authentication_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that belong to it."""
        headers = {"retry-after": str(self.retry_after)} if self.retry_after is not None else {}
        return headers | ({"www-authenticate": "Bearer"} if self.status == 401 else {})


def bad_request(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """400: the request can never be answered as it stands."""
    return ApiError(400, message, code=code, param=param)


def unavailable(message: str, code: str, retry_after: int = 1) -> ApiError:
    """503: ask again after ``retry_after`` seconds."""
    return ApiError(503, message, code=code, retry_after=retry_after)
