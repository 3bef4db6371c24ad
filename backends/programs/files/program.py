"""Linear and integer programs from a file, by the ending of its name."""

from __future__ import annotations

from pathlib import Path

from backends.programs.files.mps import parse_mps
from backends.programs.files.raw import parse_raw
from backends.programs.files.text import read_text
from backends.programs.files.vlp import parse_vlp
from backends.programs.program import LinearProgram
from palm_theory.errors import InputError

PARSERS = {"vlp": parse_vlp, "mps": parse_mps, "raw": parse_raw}
ENDINGS = {".vlp": "vlp", ".mps": "mps", ".mop": "mps", ".raw": "raw", ".fgt": "raw"}
PROGRAM_FORMATS = tuple(PARSERS)


def read_program(path: str | Path, form: str | None = None) -> LinearProgram:
    """A program from a file: "vlp" (Bensolve; .vlp), "mps" (several N rows; .mps and PolySCIP's .mop) or "raw" (MOrepo;
    .raw, .fgt). ``form`` None goes by the ending. Raises InputError, with the line where there is one.
    """
    chosen = form or ENDINGS.get(Path(path).suffix.lower())
    if chosen not in PARSERS:
        raise InputError(
            f"{path}: the format is told by the ending ({', '.join(ENDINGS)}) or by one of {PROGRAM_FORMATS}"
        )
    return PARSERS[chosen](read_text(path), path)
