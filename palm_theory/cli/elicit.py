"""``palm elicit`` and ``palm profile``: learn a user's weights by asking, keep them, hand them out, delete them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from palm_theory.cli.llm import is_of_llm
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.contract.registry import backend_class
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio
from palm_theory.users.candidates import read_candidates, write_candidates
from palm_theory.users.elicitation import Candidate, Choice, Elicitation
from palm_theory.users.profiles import Profiles
from palm_theory.users.session import ConflictError, Session, UnstoredSession

profile_app = typer.Typer(
    help="""The stored profiles of users: list, export, delete.

\b
  palm profile list profiles.sqlite
  palm profile export profiles.sqlite ada
  palm profile delete profiles.sqlite ada
""",
    no_args_is_help=True,
)

BAR = 20
CHOICES: dict[str, Choice] = {
    "1": "first",
    "a": "first",
    "2": "second",
    "b": "second",
    "=": "equal",
    "e": "equal",
}
KEYS = "1 the left one, 2 the right one, = cannot tell, u take the last answer back, q stop here"
BARS = "numbers are in the unit measured; a longer bar is better"

Store = Annotated[Path, typer.Argument(help="The SQLite file of profiles.")]
User = Annotated[str, typer.Argument(help="The user's name.")]


def elicit_command(
    portfolio: Annotated[Path, typer.Argument(help="A portfolio's folder.")],
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
    state = _ask(session, elicitation, console)
    if as_json:
        print_json(state)
    else:
        _print_result(state, console)
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
    if answers is not None and answers.exists():
        return read_candidates(answers, portfolio)
    is_llm = is_of_llm(portfolio)
    if not is_llm and (answers is not None or prompts):
        raise InputError(f"{answers} does not exist" if answers is not None else "only language models answer prompts")
    if not is_llm or vectors:
        return None
    llm: Any = backend_class("llm")
    generated = llm.answers(folder, prompts, count, rewards, seed, _progress(console))
    if answers is not None:
        write_candidates(answers, generated, portfolio.objectives)
    return generated


def _progress(console: Console) -> Any:
    """A progress bar over a sequence, on ``console``."""

    def over(items: Any) -> Any:
        return track(items, "policies answer", console=console, disable=not console.is_terminal)

    return over


def _ask(session: Session | UnstoredSession, elicitation: Elicitation, console: Console) -> dict[str, Any]:
    """The dialogue; returns the last state."""
    state = session.state()
    if state["question"] is not None:
        console.print(KEYS)
        if state["question"]["first"]["text"] is None:
            console.print(BARS)
    while state["question"] is not None:
        question = state["question"]
        _show(question, elicitation, console)
        console.print(f"{question['number']}> ", end="")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not sys.stdin.isatty():
            console.print(escape(line.strip()))
        word = line.strip().lower()
        if line == "" or word == "q":
            break
        if word == "u":
            try:
                state = session.undo()
            except ConflictError as error:
                console.print(str(error))
        elif word in CHOICES:
            state = session.answer(question["number"], CHOICES[word])
        else:
            console.print(KEYS)
            continue
        result = state["result"]
        console.print(
            f"after {state['answered']}: {escape(result['label'])}, expected regret {_percent(result)} "
            f"(stops at {100 * result['epsilon']:g}%)"
        )
    return state


def _percent(result: dict[str, Any]) -> str:
    relative = result["relative_regret"]
    return f"{result['expected_regret']:.3g} in reward" if relative is None else f"{100 * relative:.2g}%"


def _show(question: dict[str, Any], elicitation: Elicitation, console: Console) -> None:
    first, second = question["first"], question["second"]
    title = question["prompt"]
    with_text = first["text"] is not None or second["text"] is not None
    table = Table(title=None if title is None else escape(title), title_justify="left", show_lines=with_text)
    if with_text:
        for heading in ("1", "2"):
            table.add_column(heading, ratio=1)
        table.add_row(*(escape(side["text"] or "") or "[dim](empty)[/dim]" for side in (first, second)))
        console.print(table)
        return
    table.add_column("")
    for number, side in (("1", first), ("2", second)):
        # The policies' own names would give away more than the rewards say.
        table.add_column(number if side["name"] in _policy_names(elicitation) else f"{number}: {escape(side['name'])}")
    for i, objective in enumerate(elicitation.portfolio.objectives):
        rewards = [candidate.rewards[i] for candidate in elicitation.candidates]
        low, high = min(rewards), max(rewards)
        cells = []
        for side in (first, second):
            share = 1.0 if high == low else (side["rewards"][objective] - low) / (high - low)
            cells.append(f"{side['measurements'][objective]:10.4g} {'█' * round(BAR * share)}".ljust(11 + BAR))
        table.add_row(escape(objective), *cells)
    console.print(table)


def _policy_names(elicitation: Elicitation) -> set[str]:
    return {member.name for member in elicitation.portfolio}


def _print_result(state: dict[str, Any], console: Console) -> None:
    result = state["result"]
    table = Table(title=f"after {state['answered']} answers: {state['reason'] or 'stopped'}", title_justify="left")
    table.add_column("objective")
    table.add_column("weight", justify="right")
    table.add_column(f"{100 * result['level']:g}% interval", justify="right")
    for objective, weight in result["weights"].items():
        low, high = result["interval"][objective]
        table.add_row(escape(objective), f"{weight:.3f}", f"{low:.3f} to {high:.3f}")
    console.print(table)
    label = "" if result["label"] == result["policy"] else f" ({result['label']})"
    console.print(f"policy to use: {result['policy']}{escape(label)}")
    console.print(
        f"expected regret: {_percent(result)} of the best policy's value; within {100 * result['epsilon']:g}% with "
        f"probability {result['probability_within_epsilon']:.2f} (both under the model, not certified)"
    )


def _open(path: Path) -> Profiles:
    if not path.exists():
        raise InputError(f"{path} does not exist")
    return Profiles(path)


@profile_app.command("list")
def list_profiles(store: Store, as_json: Json = False) -> None:
    """Who has a profile, with answers and weights."""
    opened = _open(store)
    found = [profile for user in opened.users() if (profile := opened.profile(user)) is not None]
    rows = [
        {
            "user": profile.user,
            "answers": len(profile.comparisons),
            "weights": None
            if profile.weights is None
            else ", ".join(f"{o}={w:.3f}" for o, w in zip(profile.subject.objectives, profile.weights, strict=True)),
        }
        for profile in found
    ]
    if as_json:
        print_json([profile.to_dict() for profile in found])
    elif rows:
        print_table(rows)
    else:
        typer.echo("no profiles")


@profile_app.command("export")
def export_profile(store: Store, user: User) -> None:
    """All that is stored of a user, as JSON."""
    exported = _open(store).export(user)
    if exported is None:
        raise InputError(f"no profile of {user!r} in {store}")
    print_json(exported)


@profile_app.command("delete")
def delete_profile(store: Store, user: User) -> None:
    """Delete all that is stored of a user."""
    if not _open(store).delete(user):
        raise InputError(f"no profile of {user!r} in {store}")
    typer.echo(f"deleted {user}")
