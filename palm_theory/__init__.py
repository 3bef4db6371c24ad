"""palm_theory: a few policies, a near-optimal one for every preference weighting, with a certificate.

Each public name is loaded when it is first used: importing the package, and so the command line, costs nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from palm_theory.version import __version__

if TYPE_CHECKING:
    from palm_theory import bounds, covers, design, metrics, plots, utilities
    from palm_theory.bounds import OracleError
    from palm_theory.build import build_portfolio
    from palm_theory.certify.audit import audit
    from palm_theory.certify.certificate import Certificate, Kind
    from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status
    from palm_theory.contract.value import Value
    from palm_theory.members import Member
    from palm_theory.portfolio import Portfolio
    from palm_theory.strategies.adaptive import Adaptive
    from palm_theory.strategies.base import Strategy
    from palm_theory.strategies.baselines import RandomWeights, UniformGrid
    from palm_theory.strategies.palm import Palm
    from palm_theory.strategies.planned import Planned

__all__ = [
    "Adaptive",
    "Certificate",
    "Kind",
    "Member",
    "OracleError",
    "Palm",
    "Planned",
    "PolicyBackend",
    "Portfolio",
    "Power",
    "RandomWeights",
    "Solution",
    "Status",
    "Strategy",
    "UniformGrid",
    "Value",
    "__version__",
    "audit",
    "bounds",
    "build_portfolio",
    "covers",
    "design",
    "metrics",
    "plots",
    "utilities",
]

_HOMES = {
    "Adaptive": "strategies.adaptive",
    "Certificate": "certify.certificate",
    "Kind": "certify.certificate",
    "Member": "members",
    "OracleError": "bounds",
    "Palm": "strategies.palm",
    "Planned": "strategies.planned",
    "PolicyBackend": "contract.backend",
    "Portfolio": "portfolio",
    "Power": "contract.backend",
    "RandomWeights": "strategies.baselines",
    "Solution": "contract.backend",
    "Status": "contract.backend",
    "Strategy": "strategies.base",
    "UniformGrid": "strategies.baselines",
    "Value": "contract.value",
    "audit": "certify.audit",
    "build_portfolio": "build",
}
"""Where the public names are that are no modules of this package."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        found = _module(name)
    globals()[name] = found
    return found


def _module(name: str) -> ModuleType:
    """A module of this package. Raises AttributeError where it has none of that name."""
    path = f"{__name__}.{name}"
    try:
        if not name.startswith("_"):
            return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
