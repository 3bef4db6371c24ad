"""palm_theory: a few policies, a near-optimal one for every preference weighting, with a certificate."""

from palm_theory import bounds, covers, design, metrics, plots, utilities
from palm_theory.bounds import OracleError
from palm_theory.build import build_portfolio
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status
from palm_theory.contract.value import Value
from palm_theory.portfolio import Member, Portfolio
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.base import Strategy
from palm_theory.strategies.baselines import RandomWeights, UniformGrid
from palm_theory.strategies.palm import Palm
from palm_theory.strategies.planned import Planned
from palm_theory.version import __version__

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
