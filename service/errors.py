"""What can go wrong, by what a caller can do about it. HTTP statuses live in ``service.api.problems`` alone."""

from __future__ import annotations


class TallybookError(Exception):
    """Any error with a message fit for a person: one line, no secret, no body, no SQL."""


class NotFound(TallybookError):  # noqa: N818 - reads as an answer
    """There is no such thing in this workspace; another workspace's thing is answered the same."""


class Invalid(TallybookError):  # noqa: N818 - reads as an answer
    """The input is well-formed and means nothing here.

    ``pointer`` is a JSON pointer or ``?name`` of a query parameter, ``allowed`` what would be right, ``nearest`` the
    right name closest to a wrong one, ``code`` a short slug.
    """

    def __init__(
        self,
        message: str,
        *,
        pointer: str = "",
        code: str = "invalid",
        allowed: tuple[str, ...] = (),
        nearest: str | None = None,
    ) -> None:
        """Keep where the mistake is and what would be right."""
        super().__init__(message)
        self.pointer = pointer
        self.code = code
        self.allowed = allowed
        self.nearest = nearest


class Conflict(TallybookError):  # noqa: N818 - reads as an answer
    """It exists already, or changed meanwhile."""


class Unauthorised(TallybookError):  # noqa: N818 - reads as an answer
    """No key, a wrong key or a revoked one; which of these is not said."""


class Forbidden(TallybookError):  # noqa: N818 - reads as an answer
    """The key is good and lacks a scope; the message names it."""


class TooLarge(TallybookError):  # noqa: N818 - reads as an answer
    """More bytes, rows or buckets than allowed."""


class Gone(TallybookError):  # noqa: N818 - reads as an answer
    """What was asked for was taken by retention or erasure."""


class Busy(TallybookError):  # noqa: N818 - reads as an answer
    """Try again after ``seconds``: overload, a database that is away, an instant that is not settled yet."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        """Keep the wait."""
        super().__init__(message)
        self.seconds = seconds


class TooMany(Busy):
    """A caller asks more often than it may; ``seconds`` until it may again."""


class Misconfigured(TallybookError):  # noqa: N818 - reads as a state
    """A setting is missing or wrong; the message names it."""
