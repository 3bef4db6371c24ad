"""The questions of ``palm elicit`` in a terminal."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palm_theory.users.elicitation import Choice, Elicitation
from palm_theory.users.session import ConflictError, Session, UnstoredSession

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


def ask(session: Session | UnstoredSession, elicitation: Elicitation, console: Console) -> dict[str, Any]:
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


def print_result(state: dict[str, Any], console: Console) -> None:
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
