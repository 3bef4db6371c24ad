"""Whose weights: from a request's model name, ``palm_weights``, header and user to a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import orjson

from palm_theory.errors import InputError, PalmError
from palm_theory.geometry.simplex import Array, parse_weights
from palm_theory.portfolio import Portfolio, WeightsLike
from palm_theory.serving.errors import ApiError, bad_request, unavailable
from palm_theory.serving.routing import Decision, RoutingTable

VIRTUAL = "palm"
"""The virtual model: the policy for the request's weights. ``palm:quality=.7,cost=.3`` carries them itself."""
BODY_FIELD = "palm_weights"
HEADER = "x-palm-weights"


class StoredWeights(Protocol):
    """Where users' weights are stored."""

    def get(self, user: str) -> WeightsLike | None:
        """The weights of ``user``, shape (d,), or None where there are none."""
        ...


class Asker:
    """Finds the policy for a request.

    The model says how: ``palm`` and ``palm:name=weight,…`` are answered by the policy for the weights, and a policy's
    name (p00, or its label where that is unique) by that policy. Weights are taken from the first of: the body's
    ``palm_weights``, the header X-Palm-Weights, the model name, the stored profile of ``user``, the server's default,
    of shape (d,) and uniform unless given.
    """

    def __init__(
        self, portfolio: Portfolio, profiles: StoredWeights | None = None, default: Array | None = None
    ) -> None:
        d = len(portfolio.objectives)
        self.table = RoutingTable(portfolio)
        self.profiles = profiles
        self.default = np.full(d, 1 / d) if default is None else default
        self._portfolio = portfolio
        self._policies = policy_names(portfolio)

    @property
    def models(self) -> list[str]:
        """Names a request may use: the virtual model and the policies."""
        return [VIRTUAL, *self.table.names]

    def decide(self, model: Any, given: Any, header: str | None, user: Any) -> Decision:
        """The decision for one request. Raises ApiError (400, 404) on bad weights or an unknown model."""
        if not isinstance(model, str) or not model:
            raise bad_request("model must be a non-empty string", "model")
        if user is not None and not isinstance(user, str):
            raise bad_request("user must be a string", "user")
        explicit = self._explicit(given, header)
        if model in self._policies:
            weights, source = explicit or (None, "policy")
            return self.table.named(self._policies[model], weights, source)
        if model == VIRTUAL or model.startswith(VIRTUAL + ":"):
            weights, source = explicit or self._from_model(model) or self._stored(user) or (self.default, "default")
            return self.table.route(weights, source)
        raise ApiError(
            404,
            f"the model {model[:80]!r} does not exist; there are {', '.join(self.models[:20])}"
            f"{', …' if len(self.models) > 20 else ''} and {VIRTUAL}:objective=weight,…",
            code="model_not_found",
            param="model",
        )

    def _explicit(self, given: Any, header: str | None) -> tuple[Array, str] | None:
        if given is not None:
            return self._checked(given, BODY_FIELD), "body"
        if header is not None:
            return self._checked(_header_weights(header), HEADER), "header"
        return None

    def _from_model(self, model: str) -> tuple[Array, str] | None:
        _, colon, text = model.partition(":")
        if not colon:
            return None
        return self._checked(_text_weights(text, "model"), "model"), "model"

    def _stored(self, user: str | None) -> tuple[Array, str] | None:
        if user is None or self.profiles is None:
            return None
        try:
            weights = self.profiles.get(user)
            return None if weights is None else (self._portfolio.weights(weights), "profile")
        except InputError as error:
            raise bad_request(f"user: {error}", "user") from None
        except PalmError as error:
            raise unavailable(f"the profiles cannot be read: {error}", "profiles_unavailable", 5) from None

    def _checked(self, given: Any, param: str) -> Array:
        try:
            return self._portfolio.weights(_plain_numbers(given))
        except InputError as error:
            raise bad_request(f"{param}: {error}", param, code="invalid_weights") from None


def policy_names(portfolio: Portfolio) -> dict[str, int]:
    """Every name a policy answers to, and its index: p00, …, and the labels that are unique and not such a name."""
    names = {member.name: member.index for member in portfolio}
    labels = [member.label for member in portfolio]
    for member in portfolio:
        label = member.label
        reserved = label in names or label == VIRTUAL or label.startswith(VIRTUAL + ":")
        if not reserved and labels.count(label) == 1:
            names[label] = member.index
    return names


def _plain_numbers(given: Any) -> dict[str, float] | list[float]:
    items = list(given.values()) if isinstance(given, Mapping) else given
    if not isinstance(items, list) or not items:
        raise InputError('weights are an object like {"quality": 0.7, "cost": 0.3} or an array of numbers')
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in items):
        raise InputError("every weight must be a number")
    return dict(given) if isinstance(given, Mapping) else items


def _header_weights(header: str) -> Any:
    if header.lstrip().startswith(("{", "[")):
        try:
            return orjson.loads(header)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"{HEADER} is not JSON: {error}", HEADER, code="invalid_weights") from None
    return _text_weights(header, HEADER)


def _text_weights(text: str, param: str) -> dict[str, float] | list[float]:
    try:
        return parse_weights(text)
    except InputError as error:
        raise bad_request(f"{param}: {error}", param, code="invalid_weights") from None
