"""``palm certificate``: a certificate that carries its proof, for others to check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palm_theory.cli.options import Folder, TableOptions
from palm_theory.cli.signatures import with_options


@with_options
def certificate_command(
    portfolio: Folder,
    *,
    out: Annotated[Path, typer.Option(help="The file to write, JSON.")],
    against: Annotated[
        Path,
        typer.Option(
            help="Whose optimum J* is: all policies of this CSV, or the problem in the file that the portfolio was "
            "built from (the .npz of a bandit or MDP, a program)."
        ),
    ],
    table: TableOptions,
    delta: Annotated[float, typer.Option(help="The δ of the claim; ε is then the least that can be proven.")] = 0.0,
) -> None:
    """Write a proof that the portfolio is near-optimal for every w: checked in exact arithmetic, without this package.

    Values with standard errors have no proof. Bandits, MDPs and linear programs give witnesses of J*; of any other
    problem the file says that J* rests on the solver's word.

    \b
      palm certificate portfolio --against scores.csv --name model --out proof.json
      python check_certificate.py proof.json
    """
    from palm_theory.certify.proof import prove
    from palm_theory.cli.sources import rivals
    from palm_theory.files import canonical_json, write_atomically
    from palm_theory.portfolio import Portfolio

    loaded = Portfolio.load(portfolio)
    beside = rivals(loaded, against, table)
    proof = prove(loaded.policy_values, backend=beside.backend, rivals=beside.candidates, delta=delta)
    write_atomically(out, canonical_json(proof.data).encode())
    typer.echo(f"{out}: J_w >= (1 - {proof.epsilon!r}) J*_w - {proof.delta!r} for every w, K = {len(loaded)}")
    typer.echo(f"It rests on this: {proof.data['rests_on']}.")
