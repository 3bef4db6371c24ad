"""Figures (matplotlib): each function draws on ``ax``, or on axes of its own, and returns them.

Made for print: text of 6.5 to 8 points, legible at a column's 3.3 and a page's 6.9 inches, in greyscale and for
colour-blind readers. matplotlib is loaded when the first figure is drawn.
"""

from palm_theory.plots.fronts import pareto_front
from palm_theory.plots.growth import Curve, growth_curve, size_against_epsilon
from palm_theory.plots.policies import LONGEST_KEY
from palm_theory.plots.profiles import policy_profiles
from palm_theory.plots.projection import projected_users
from palm_theory.plots.promises import cover_sizes, promised_loss
from palm_theory.plots.regions import policy_regions
from palm_theory.plots.regret import regret_map
from palm_theory.plots.style import COLUMN, PAGE
from palm_theory.plots.users import users_served
from palm_theory.plots.values import value_functions

__all__ = [
    "COLUMN",
    "LONGEST_KEY",
    "PAGE",
    "Curve",
    "cover_sizes",
    "growth_curve",
    "pareto_front",
    "policy_profiles",
    "policy_regions",
    "projected_users",
    "promised_loss",
    "regret_map",
    "size_against_epsilon",
    "users_served",
    "value_functions",
]
