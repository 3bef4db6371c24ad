"""``palm show``: what is in a saved portfolio."""

from __future__ import annotations

from palm_theory.cli.options import Folder, Json
from palm_theory.cli.output import print_portfolio, print_table


def show_command(portfolio: Folder, as_json: Json = False) -> None:
    """The policies of a portfolio, whom they serve, and its certificate."""
    from palm_theory.metrics import usage
    from palm_theory.portfolio import Portfolio

    loaded = Portfolio.load(portfolio)
    print_portfolio(loaded, as_json=as_json)
    if as_json:
        return
    shares = usage(loaded)
    print_table(
        [{"policy": member.name, "label": member.label, "share": float(shares[member.index])} for member in loaded],
        title="share of 1,000 users with weights uniform on the simplex (an estimate)",
    )
