"""``palm elicit``: learn a user's weights by asking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palm_theory.cli.options import Folder, Json
from palm_theory.cli.output import print_json
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from palm_theory.portfolio import Portfolio
    from palm_theory.users.elicitation import Candidate


def elicit_command(
    portfolio: Folder,
    user: Annotated[str | None, typer.Option(help="Remember answers and weights under this name.")] = None,
    profiles: Annotated[
        Path, typer.Option(help="SQLite file of profiles, made on first use; only with --user.")
    ] = Path("profiles.sqlite"),
    epsilon: Annotated[
        float, typer.Option(help="Stop where the chosen policy's expected regret is below this share of the value.")
    ] = 0.01,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="T, in the unit of the rewards: a difference of T is chosen right with 73%, of 3T with 95%. "
            "Default: a tenth of the widest range of a reward over the answers."
        ),
    ] = None,
    concentration: Annotated[float, typer.Option(help="α of the Dirichlet prior; 1 is uniform.")] = 1.0,
    max_questions: Annotated[int, typer.Option(help="Stop after so many in any case.")] = 50,
    answers: Annotated[
        Path | None,
        typer.Option(help="Answers to show, .jsonl. Written where it is missing and policies can generate, else read."),
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="LLM: let policies answer this; repeat.")
    ] = None,
    prompts: Annotated[int, typer.Option(help="LLM, without --prompt: how many held-out prompts.")] = 6,
    reward: Annotated[
        list[str] | None, typer.Option("--reward", help="LLM: rewards that are not built in, as for palm build llm.")
    ] = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Show rewards, also where policies could answer.")] = False,
    level: Annotated[float, typer.Option(help="Of the credible intervals.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    as_json: Json = False,
) -> None:
    """Learn which policy serves a user from pairwise choices, in as few as that takes.

    Shows two answers at a time: real ones where the policies are language models, else rewards. Each choice is stored
    before the next question (with --user); stop with q and go on later with the same command. Expected regret is an
    expectation under the model of choice, not a certificate.

    \b
      palm elicit portfolio
      palm elicit portfolio --user ada --profiles profiles.sqlite
      printf '1\\n2\\n1\\nq\\n' | palm elicit portfolio --json
    """
    from rich.console import Console
    from rich.markup import escape

    from palm_theory.cli.dialogue import ask, print_result
    from palm_theory.portfolio import Portfolio
    from palm_theory.users.elicitation import Elicitation
    from palm_theory.users.profiles import Profiles
    from palm_theory.users.session import Session, UnstoredSession

    console = Console(stderr=as_json, highlight=False)
    loaded = Portfolio.load(portfolio)
    store = None if user is None else Profiles(profiles, loaded)
    if user is not None and store is not None:
        store.comparisons(user)
    shown = _candidates(portfolio, loaded, answers, prompt or [], prompts, reward or [], vectors, seed, console)
    elicitation = Elicitation.of(
        loaded,
        shown,
        temperature=temperature,
        concentration=concentration,
        epsilon=epsilon,
        max_questions=max_questions,
        level=level,
        seed=seed,
    )
    if user is None or store is None:
        session: Session | UnstoredSession = UnstoredSession(elicitation)
    else:
        session = Session(elicitation, store, user)
    state = ask(session, elicitation, console)
    if as_json:
        print_json(state)
    else:
        print_result(state, console)
        if user is not None and state["answered"]:
            console.print(f"stored for {escape(user)} in {escape(str(profiles))}")
        elif not state["answered"] and state["done"]:
            console.print(
                "no question was needed: for a user of whom nothing is known this policy is expected to lose no more "
                "than that. A smaller --epsilon asks; nothing was stored"
            )


def _candidates(
    folder: Path,
    portfolio: Portfolio,
    answers: Path | None,
    prompts: list[str],
    count: int,
    rewards: list[str],
    vectors: bool,
    seed: int,
    console: Console,
) -> tuple[Candidate, ...] | None:
    """The answers to show: from the file, generated (and kept in the file), or None for the policies' rewards."""
    from rich.progress import track

    from palm_theory.application import application_of
    from palm_theory.users.candidates import read_candidates, write_candidates

    if answers is not None and answers.exists():
        return read_candidates(answers, portfolio)
    application = application_of(portfolio.kind)
    if application is None and (answers is not None or prompts):
        raise InputError(f"{answers} does not exist" if answers is not None else "only language models answer prompts")
    if application is None or vectors:
        return None

    def progress(items: Any) -> Any:
        return track(items, "policies answer", console=console, disable=not console.is_terminal)

    generated = application.answers(folder, prompts, count, rewards, seed, progress)
    if answers is not None:
        write_candidates(answers, generated, portfolio.objectives)
    return generated
