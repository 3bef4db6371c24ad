"""Prompt files: what is read, and the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.llm import bundled_held_out, bundled_prompts, read_prompts
from palm_theory.errors import InputError


def test_bundled_prompts_are_distinct_and_disjoint():
    train, held_out = bundled_prompts(), bundled_held_out()
    assert len(train) >= 40
    assert len(held_out) >= 30
    assert len({*train, *held_out}) == len(train) + len(held_out)


def test_text_and_json_lines(tmp_path: Path):
    (tmp_path / "p.txt").write_text("first\n\n  second  \n")
    assert read_prompts(tmp_path / "p.txt") == ("first", "second")
    (tmp_path / "p.jsonl").write_text('{"prompt": "2 + 2?", "answer": 4}\n{"prompt": "hi"}\n')
    prompts = read_prompts(tmp_path / "p.jsonl")
    assert [(str(p), p.answer) for p in prompts] == [("2 + 2?", "4"), ("hi", None)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "", "holds no prompt"),
        ("p.txt", "good\n\x00bad\n", "line 2: a prompt must be printable"),
        ("p.jsonl", '{"prompt": "a"}\nnot json\n', "line 2: not JSON"),
        ("p.jsonl", '{"prompt": "a"}\n\n{"text": "b"}\n', 'line 3: needs an object with a non-empty text "prompt"'),
        ("p.jsonl", '{"prompt": "a", "answer": [1]}\n', '"answer" must be text or a number'),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "none.txt")
