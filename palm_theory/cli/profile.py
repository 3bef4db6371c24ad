"""``palm profile``: the stored profiles of users, listed, handed out, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palm_theory.cli.options import Json
from palm_theory.cli.output import print_json, print_table
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.users.profiles import Profiles

profile_app = typer.Typer(
    help="""The stored profiles of users: list, export, delete.

\b
  palm profile list profiles.sqlite
  palm profile export profiles.sqlite ada
  palm profile delete profiles.sqlite ada
""",
    no_args_is_help=True,
)

Store = Annotated[Path, typer.Argument(help="The SQLite file of profiles.")]
User = Annotated[str, typer.Argument(help="The user's name.")]


def _open(path: Path) -> Profiles:
    from palm_theory.users.profiles import Profiles

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
