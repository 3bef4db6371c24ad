"""J* at many weights, for figures that show it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from palm_theory.certify.optimum import Asked, Certified
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.problem import check_same_problem
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.simplex import Array
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from collections.abc import Iterable


def required_backend(portfolio: Portfolio, backend: PolicyBackend | None, what: str) -> PolicyBackend:
    """The backend; InputError where none is given or it is not the portfolio's problem."""
    if backend is None:
        raise InputError(f"{what} shows the optimum J*, which only the backend knows: pass backend=...")
    return checked_backend(portfolio, backend)


def checked_backend(portfolio: Portfolio, backend: PolicyBackend) -> PolicyBackend:
    """The backend; InputError where it is not the problem the portfolio was made for."""
    check_same_problem(backend, portfolio.problem, portfolio.fingerprint)
    return backend


def certified_optimum(portfolio: Portfolio) -> Certified | None:
    """The bound on J* that the portfolio's certificate claims, at its confidence; None where it claims none."""
    certified = Certified(portfolio.vertex_values, portfolio.certificate)
    return certified if certified.kind.is_bound else None


def optimal_values(backend: PolicyBackend, weights: Array) -> Array:
    """The least upper bounds on J* that the backend proves at weights (n, d), exact J* where it knows it; (n,).

    Costs a solve a weight where the backend does not declare OPTIMAL_VALUE. A progress bar shows on a terminal. Raises
    CertificateError where the backend proves no bound, BackendError where it fails.
    """
    asked = Asked(backend)
    bounds = np.empty(len(weights))
    for number, row in enumerate(_tracked(weights)):
        bounds[number] = asked.upper(row[None, :])[0]
        if bounds[number] == np.inf:
            # At once: every question to such a backend may be a training run.
            raise CertificateError(f"{type(backend).__name__} gives no upper bound on J*, so it cannot be drawn")
    return bounds


def _tracked(weights: Array) -> Iterable[Array]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(weights, "asking for J*", console=console, transient=True, disable=not sys.stderr.isatty())
