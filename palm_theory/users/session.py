"""An elicitation that remembers: every answer is stored before it counts. Transport-free, for terminals and servers.

Example, as a server would mount it (one ``Elicitation`` and one ``Profiles`` for all users and threads)::

    profiles = Profiles("profiles.sqlite", portfolio)
    elicitation = Elicitation.of(portfolio)

    GET  /v1/palm/elicit/{user}         Session(elicitation, profiles, user).state()
    POST /v1/palm/elicit/{user}         Session(elicitation, profiles, user).answer(body["question"], body["choice"])
    POST /v1/palm/elicit/{user}/undo    Session(elicitation, profiles, user).undo()

Each returns the same JSON-able state (see ``Elicitation.state``, and ``user`` besides). Errors: InputError for a bad
choice, user or a profile of other objectives (422); ConflictError for an answer to a question that is not open, sent
twice say (409, with the state to go on from); ProfileError for the store (503). A call takes some tens of milliseconds
of CPU, so not on an event loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from palm_theory.errors import InputError
from palm_theory.users.elicitation import PREFERRED, Choice, Elicitation
from palm_theory.users.preference import Comparison
from palm_theory.users.profiles import Profiles


class ConflictError(InputError):
    """An answer to a question that is not open: sent twice, or after another process's answer."""


@dataclass(frozen=True, eq=False)
class Session:
    """One user's elicitation, its comparisons in ``profiles`` (opened with the portfolio). Holds no state."""

    elicitation: Elicitation
    profiles: Profiles
    user: str

    def state(self) -> dict[str, Any]:
        """The state to show: question and result so far."""
        return {"user": self.user, **self.elicitation.state(self.profiles.comparisons(self.user))}

    def answer(self, question: int, choice: Choice) -> dict[str, Any]:
        """Store the choice in question ``question`` ("first", "second" or "equal"), and the weights it leads to.

        Returns the new state. Raises ConflictError where another question is open, or none.
        """
        if choice not in PREFERRED:
            raise InputError(f"a choice is first, second or equal, got {choice!r}")
        comparisons = self.profiles.comparisons(self.user)
        if isinstance(question, bool) or not isinstance(question, int):
            raise InputError(f"a question is an integer, got {question!r}")
        try:
            comparison = self.elicitation.answer(comparisons, question, choice)
            self.profiles.add_comparison(self.user, comparison, number=question)
        except InputError as error:
            raise ConflictError(str(error)) from None
        return self._stored()

    def undo(self) -> dict[str, Any]:
        """Take back the last answer; the new state. ConflictError where there is none."""
        if not self.profiles.undo(self.user):
            raise ConflictError("there is no answer to take back")
        return self._stored()

    def _stored(self) -> dict[str, Any]:
        state = self.state()
        self.profiles.put(self.user, state["result"]["weights"], state["result"])
        return state


@dataclass(eq=False)
class UnstoredSession:
    """The same for somebody who is not to be remembered: comparisons live in this object. Not for several threads."""

    elicitation: Elicitation
    comparisons: list[Comparison] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """The state to show: question and result so far."""
        return {"user": None, **self.elicitation.state(self.comparisons)}

    def answer(self, question: int, choice: Choice) -> dict[str, Any]:
        """Take the choice in question ``question``; the new state. As ``Session.answer``."""
        self.comparisons.append(self.elicitation.answer(self.comparisons, question, choice))
        return self.state()

    def undo(self) -> dict[str, Any]:
        """Take back the last answer; the new state. ConflictError where there is none."""
        if not self.comparisons:
            raise ConflictError("there is no answer to take back")
        self.comparisons.pop()
        return self.state()
