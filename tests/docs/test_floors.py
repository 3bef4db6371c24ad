"""The laws of imports (tools/rooms.py): rooms in their declared order, no circle, a core that knows no backend."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from tools.architecture import picture
from tools.rooms import LADDERS, arrows, breaches, circles, heavy_imports, modules, places, room


def test_every_import_leads_down():
    assert breaches(arrows()) == []
    assert circles(arrows()) == []


def test_the_core_imports_no_heavy_library():
    assert heavy_imports() == []


def test_every_module_lies_in_a_room_and_every_room_has_one():
    assert {room(name) for name in modules()} == set(places())
    assert len(places()) == sum(len(floor) for floors in LADDERS.values() for floor in floors), "a room stands twice"


@pytest.mark.parametrize(
    ("importer", "other"),
    [
        ("palm_theory.geometry.hull", "palm_theory.contract.value"),  # up
        ("palm_theory.certify.audit", "palm_theory.store.journal"),  # across
        ("palm_theory.build", "backends.bandit"),  # the core knows no backend
        ("backends.table", "backends.llm.texts"),
        ("backends.mdp", "palm_theory.cli.app"),  # above every backend
        ("backends.llm.work.worker", "palm_theory.serving.engine"),
    ],
)
def test_a_breach_is_found(importer, other):
    assert len(breaches([(importer, other), ("palm_theory.build", "palm_theory.portfolio")])) == 1


def test_a_circle_within_a_room_is_found():
    a, b, c = (f"palm_theory.certify.{name}" for name in ("audit", "certificate", "pruning"))
    assert breaches([(a, b), (b, c), (c, a)]) == []
    assert circles([(a, b), (b, c), (c, a)]) == [[a, b, c, a]]
    assert circles([(a, b), (b, c), (a, c)]) == []


def test_an_undeclared_room_is_an_error_that_says_what_to_do():
    for name in ("palm_theory.attic", "backends.llm.attic.box"):
        with pytest.raises(LookupError, match="LADDERS of tools/rooms"):
            room(name)


def test_the_picture_is_well_formed_and_names_every_room():
    drawn = ElementTree.fromstring(picture())
    texts = "".join(drawn.itertext())
    assert all(name in texts for floors in LADDERS.values() for floor in floors for name in floor)
