"""Executors from a command-line option: ``ray://head:10001,gpus=1`` or ``partition=gpu,gpus=1,time=120``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palm_theory.errors import InputError
from palm_theory.executors.ray import RayExecutor
from palm_theory.executors.slurm import SlurmExecutor

RAY_NUMBERS = {"cpus": float, "gpus": float, "memory": float, "retries": int}
SLURM_NUMBERS = {"cpus": int, "gpus": int, "memory": float, "retries": int, "max_jobs": int}
NAMES = {"memory": "memory_gb"}


def ray_executor(text: str) -> RayExecutor:
    """``ADDRESS[,cpus=C][,gpus=G][,memory=GB][,retries=N][,RESOURCE=AMOUNT …]``; ADDRESS is auto, local or ray://….

    Raises InputError on text that is not of that form, and as ``RayExecutor`` does.
    """
    address, *rest = text.split(",")
    if address not in ("auto", "local") and "://" not in address and ":" not in address:
        raise InputError(f"--cluster starts with auto, local, HOST:PORT or ray://HOST:PORT, got {address!r}")
    given = _pairs(rest, "--cluster")
    known = {NAMES.get(name, name): _number(given.pop(name), name, kind) for name, kind in _present(RAY_NUMBERS, given)}
    resources = {name: float(_number(value, name, float)) for name, value in given.items()}
    return RayExecutor(address, resources=resources, **known)


def slurm_executor(text: str, folder: Path) -> SlurmExecutor:
    """``[partition=NAME][,gpus=G][,cpus=C][,memory=GB][,time=MINUTES or H:MM:SS][,max_jobs=N][,OPTION=VALUE …]``.

    ``cluster=local`` runs the jobs as processes of this machine, for trying out. Raises InputError on text that is not
    of that form, and as ``SlurmExecutor`` does.
    """
    given = _pairs(text.split(",") if text else [], "--slurm")
    known: dict[str, Any] = {
        NAMES.get(name, name): _number(given.pop(name), name, kind) for name, kind in _present(SLURM_NUMBERS, given)
    }
    if "time" in given:
        known["time_minutes"] = _minutes(given.pop("time"))
    for name in ("partition", "cluster"):
        if name in given:
            known[name] = given.pop(name)
    return SlurmExecutor(folder, parameters=given, **known)


def _pairs(items: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} takes name=value pairs separated by commas, got {item!r}")
        if name in pairs:
            raise InputError(f"{option} names {name} twice")
        pairs[name] = value
    return pairs


def _present(kinds: dict[str, type], given: dict[str, str]) -> list[tuple[str, type]]:
    return [(name, kind) for name, kind in kinds.items() if name in given]


def _number(text: str, name: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        whole = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} must be {whole}, got {text!r}") from None


def _minutes(text: str) -> int:
    """Minutes of SLURM's forms MINUTES, H:MM:SS and D-H:MM:SS, rounded up."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if len(parts) not in (1, 3) or not all(part.isdecimal() for part in (*parts, days or "0")):
        raise InputError(f"time must be minutes, H:MM:SS or D-H:MM:SS, got {text!r}")
    if len(parts) == 1:
        return int(days or 0) * 1440 + int(parts[0])
    hours, minutes, seconds = map(int, parts)
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
