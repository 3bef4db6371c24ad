"""A base for backends that know their declarations once they are built, so that none repeats eight properties."""

from __future__ import annotations

from dataclasses import dataclass

from palm_theory.bounds import OracleError
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.normalizer import IDENTITY, Normalizer


@dataclass(frozen=True)
class Declarations:
    """What a ``PolicyBackend`` declares, under the same names.

    ``has_reference`` None means: exactly where ``regularizer_max`` is 0; ``normalizers`` None means the identity.
    """

    objectives: tuple[str, ...]
    reward_max: float
    regularizer_max: float | None = 0.0
    oracle_error: OracleError | None = None
    has_reference: bool | None = None
    normalizers: tuple[Normalizer, ...] | None = None
    evaluation_max: float | None = None


class DeclaredBackend(PolicyBackend):
    """A backend whose constructor sets ``self.declared``; its declarations are read from there."""

    declared: Declarations

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.declared.objectives

    @property
    def reward_max(self) -> float:
        return self.declared.reward_max

    @property
    def regularizer_max(self) -> float | None:
        return self.declared.regularizer_max

    @property
    def oracle_error(self) -> OracleError | None:
        return self.declared.oracle_error

    @property
    def evaluation_max(self) -> float | None:
        return self.declared.evaluation_max

    @property
    def has_reference(self) -> bool:
        known = self.declared.has_reference
        return self.declared.regularizer_max == 0 if known is None else known

    @property
    def normalizers(self) -> tuple[Normalizer, ...]:
        return self.declared.normalizers or (IDENTITY,) * len(self.declared.objectives)
