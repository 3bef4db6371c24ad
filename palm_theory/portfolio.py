"""The portfolio: K policies, what they are worth, what is certified, and which one serves a user."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.certify.audit import audit, certify
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.limits import DEFAULT_CONFIDENCE
from palm_theory.certify.optimum import Certified, Paired, Predicted, Unknown
from palm_theory.certify.pruning import judged
from palm_theory.certify.selection import Method, Selection, requirement, smallest_subset
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import label, solve
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import Normalizer
from palm_theory.contract.problem import check_same_problem, problem_description, problem_fingerprint
from palm_theory.contract.value import Value
from palm_theory.errors import ArtifactError, InputError
from palm_theory.geometry.corners import Target
from palm_theory.geometry.envelope import corner_weights, lower_envelope, scalarize
from palm_theory.geometry.simplex import Array, named_weights, validate_weights
from palm_theory.members import Member, dataframe, html_table, rich_table
from palm_theory.mixture import Mixture, best_mixture
from palm_theory.store.artifact import (
    PORTFOLIO_FILE,
    SCHEMA_VERSION,
    PortfolioRecord,
    load_policies,
    read_artifact,
    refuse_foreign_folder,
    save_artifact,
)
from palm_theory.utilities import Utility
from palm_theory.version import __version__

if TYPE_CHECKING:
    from pandas import DataFrame

WeightsLike = ArrayLike | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Portfolio:
    """K policies with their values and a certificate. Immutable: ``extend`` and ``prune`` return new portfolios.

    Attributes
    ----------
    declarations : what the backend they came from declares, as far as the artifact keeps it.
    members : the K policies, in order.
    certificate : what is proven about them.
    problem, fingerprint : that backend's description and its digest.
    strategy, seed : how the policies were chosen.
    solves : how many weights were solved to find them.
    """

    declarations: Declarations
    members: tuple[Member, ...]
    certificate: Certificate
    problem: dict[str, Any] = field(repr=False)
    fingerprint: str = field(repr=False)
    strategy: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    solves: int = 0

    def __post_init__(self) -> None:
        if not self.members:
            raise InputError("a portfolio needs at least one policy")
        if any(member.value.rewards.size != len(self.objectives) for member in self.members):
            raise InputError(f"every policy needs {len(self.objectives)} rewards, one an objective")

    @classmethod
    def of(
        cls,
        backend: PolicyBackend,
        policies: Sequence[tuple[Any, Value, Array | None]],
        certificate: Certificate,
        *,
        strategy: dict[str, Any] | None = None,
        seed: int = 0,
        solves: int = 0,
    ) -> Portfolio:
        """A portfolio of (policy, value, weights (d,) solved for or None) from one backend."""
        members = tuple(
            Member(k, label(backend, policy) or f"p{k:02d}", policy, value, weights)
            for k, (policy, value, weights) in enumerate(policies)
        )
        return cls(
            # Whether just built or read from disk, a portfolio knows the same.
            declarations=Declarations.of(backend).kept(),
            members=members,
            certificate=certificate,
            problem=problem_description(backend),
            fingerprint=problem_fingerprint(backend),
            strategy=strategy or {},
            seed=seed,
            solves=solves,
        )

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the d objectives."""
        return self.declarations.objectives

    @property
    def reward_max(self) -> float:
        """R_max."""
        return self.declarations.reward_max

    @property
    def regularizer_max(self) -> float | None:
        """f_max, None if unknown."""
        return self.declarations.regularizer_max

    @property
    def evaluation_max(self) -> float | None:
        """The range of a single evaluation, None if unknown."""
        return self.declarations.evaluation_max

    @property
    def normalizers(self) -> tuple[Normalizer, ...]:
        """How each objective's measurement became a reward."""
        return self.declarations.normalizers

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __getitem__(self, index: int) -> Member:
        return self.members[index]

    @property
    def kind(self) -> str:
        """The word that the backend's problems are stored under; "" where it is not known."""
        return str(self.problem.get("backend", ""))

    @property
    def policy_values(self) -> list[Value]:
        """The values of the K policies."""
        return [member.value for member in self.members]

    @property
    def rewards(self) -> Array:
        """R, shape (K, d)."""
        return np.stack([member.value.rewards for member in self.members])

    @property
    def regularizers(self) -> Array:
        """f, shape (K,)."""
        return np.array([member.value.regularizer for member in self.members])

    @property
    def vertex_values(self) -> Array:
        """G = R − f·1, shape (K, d): J_w(π_k) = ⟨w, G_k⟩."""
        return np.stack([member.value.vertex_values for member in self.members])

    def weights(self, weights: WeightsLike) -> Array:
        """Weights as an array (d,) or (n, d), from an array or a mapping of objective names; checked."""
        if isinstance(weights, Mapping):
            return named_weights(weights, self.objectives)
        return validate_weights(weights, len(self.objectives))

    @overload
    def select(self, weights: Mapping[str, float] | Sequence[float]) -> Member: ...
    @overload
    def select(self, weights: WeightsLike) -> Member | np.ndarray: ...
    def select(self, weights: WeightsLike) -> Member | np.ndarray:
        """argmax_k ⟨w, R_k⟩ − f_k, ties to the lowest index.

        One weight vector (d,) or a mapping of names gives the ``Member``; n of them, (n, d), give its index for each,
        shape (n,), in blocks that need little memory. Raises InputError on weights that are not on the simplex.
        """
        array = self.weights(weights)
        chosen = lower_envelope(self.vertex_values, np.atleast_2d(array)).policy
        return chosen if array.ndim == 2 else self.members[int(chosen[0])]

    def values(self, weights: WeightsLike) -> Array:
        """J_w(π_k) of every policy: shape (K,) for one weight vector, (n, K) for n."""
        array = self.weights(weights)
        table = scalarize(self.vertex_values, np.atleast_2d(array))
        return table if array.ndim == 2 else table[0]

    def best_value(self, weights: WeightsLike) -> Array:
        """L(w) = max_k J_w(π_k): shape () or (n,)."""
        array = self.weights(weights)
        best = lower_envelope(self.vertex_values, np.atleast_2d(array)).best
        return best if array.ndim == 2 else best[0]

    def corner_weights(self) -> Array:
        """The corner weights of the portfolio's lower envelope, (m, d): where users are worst served (Theorem 3)."""
        return corner_weights(self.vertex_values)

    def certified_optimum(self) -> Certified:
        """What the certificate implies of J*, given what each policy is worth."""
        measured = any(value.is_estimate for value in self.policy_values)
        return Certified(self.vertex_values, self.certificate, measured=measured)

    def predicted_optimum(self) -> Predicted | Unknown:
        """J* as if every policy were optimal for the weights that it was solved for; unknown where none has any."""
        trained = [member.weights for member in self.members if member.weights is not None]
        return Predicted(self.vertex_values, np.stack(trained), self.reward_max) if trained else Unknown()

    def mixture(self, utility: Utility) -> Mixture:
        """The best mixture of the policies for a concave monotone utility; see ``mixture.best_mixture``."""
        return best_mixture(self.rewards, self.regularizers, utility)

    def audit(self, backend: PolicyBackend | None = None, **options: Any) -> Certificate:
        """A fresh certificate; arguments as for ``palm_theory.audit``. InputError for another problem's backend.

        A backend that declares PAIRED_VALUES, and no further argument, gives one from paired differences, over the
        portfolio's own members and ``paired_reference``: other policies solved on the way are no part of a portfolio.
        """
        if backend is not None:
            self._check_problem(backend)
            if not options and Power.PAIRED_VALUES in backend.powers:
                policies = [member.policy for member in self.members]
                return certify(Paired(backend), self.policy_values, policies=policies)
        return audit(self, backend, **options)

    def _check_problem(self, backend: PolicyBackend) -> None:
        check_same_problem(backend, self.problem, self.fingerprint)

    def subset(self, indices: Sequence[int]) -> Portfolio:
        """Some of the policies, in the order given and renumbered. The certificate does not carry over: unknown."""
        members = tuple(replace(self.members[k], index=i) for i, k in enumerate(indices))
        unknown = Certificate(math.inf, 0.0, None, Kind.UNKNOWN, confidence=0.0, size=len(members))
        return replace(self, members=members, certificate=unknown)

    def with_certificate(self, certificate: Certificate) -> Portfolio:
        """The same policies under another certificate."""
        return replace(self, certificate=certificate)

    def extend(self, backend: PolicyBackend, weights: ArrayLike) -> Portfolio:
        """Solve more weights, (d,) or (n, d), and add their policies. No gap grows by it.

        The certificate is audited afresh, at the old δ, where the old one was a proof against the backend's optimum,
        and otherwise kept, being still true. Policies worth the same as one at hand are not added.
        """
        self._check_problem(backend)
        policies = [(m.policy, m.value, m.weights) for m in self.members]
        rows = np.atleast_2d(self.weights(weights))
        for row in rows:
            solution = solve(backend, row)
            if not any(solution.value.same_numbers(value) for _, value, _ in policies):
                policies.append((solution.policy, solution.value, row))
        old = self.certificate
        extended = Portfolio.of(
            backend, policies, old, strategy=self.strategy, seed=self.seed, solves=self.solves + len(rows)
        )
        if old.is_proof and old.confidence == 1 and old.is_against_optimum:
            fresh = audit(extended, backend, delta=old.delta)
            return extended.with_certificate(replace(fresh, oracle_calls=old.oracle_calls + fresh.oracle_calls))
        return extended.with_certificate(replace(old, size=len(extended)))

    def prune(
        self,
        backend: PolicyBackend | None = None,
        *,
        epsilon: float | None = None,
        delta: float = 0.0,
        method: Method = "exact",
        time_limit: float = 60.0,
    ) -> Portfolio:
        """The smallest subset that still meets (ε, δ), by default the certificate's own, with a fresh certificate.

        With a backend J* is asked for; without one the portfolio itself is the reference, (ε, δ) is against its own
        best policy, by default as small as the whole portfolio's (0 for exact values), and the certificate says so.

        Values with standard errors are judged as an audit does, lower confidence limits against upper ones of all
        policies there are, with the confidence of the certificate at hand, 0.95 where it has none. Raises
        CertificateError where the whole portfolio misses the target, InputError where measured values have no
        reference (a backend without ALL_VALUES) or no interval (one evaluation).
        """
        subset, _ = self.smallest_subset(backend, epsilon=epsilon, delta=delta, method=method, time_limit=time_limit)
        return subset

    def smallest_subset(
        self,
        backend: PolicyBackend | None = None,
        *,
        epsilon: float | None = None,
        delta: float = 0.0,
        method: Method = "exact",
        time_limit: float = 60.0,
    ) -> tuple[Portfolio, Selection]:
        """``prune`` together with the selection, which holds the proven lower bound on any such subset's size."""
        if backend is not None:
            self._check_problem(backend)
        if epsilon is None:
            epsilon, delta = self._own_target(backend)
        values, optimum = judged(self.policy_values, backend, self._confidence, self.evaluation_max)
        selection = smallest_subset(
            values, requirement(Target(epsilon, delta), optimum), method=method, time_limit=time_limit
        )
        pruned = self.subset([int(k) for k in selection.members])
        return pruned.with_certificate(self._audit_of(pruned, backend, delta)), selection

    def _audit_of(self, part: Portfolio, backend: PolicyBackend | None, delta: float = 0.0) -> Certificate:
        """The certificate of some of the policies, against the backend or else against all of this portfolio's."""
        if backend is not None:
            return audit(part, backend, delta=delta, confidence=self._confidence)
        return audit(
            part,
            reference=self.policy_values,
            delta=delta,
            confidence=self._confidence,
            evaluation_max=self.evaluation_max,
        )

    @property
    def _confidence(self) -> float:
        own = self.certificate.confidence
        return own if 0 < own < 1 else DEFAULT_CONFIDENCE

    def _own_target(self, backend: PolicyBackend | None) -> tuple[float, float]:
        if backend is None:
            own = self._audit_of(self, None)
            if not own.is_proof:
                raise InputError("the whole portfolio proves nothing against itself: give the epsilon to prune to")
            return own.epsilon, own.delta
        if not self.certificate.is_proof:
            raise InputError(f"the certificate is {self.certificate.kind.value}: give the epsilon to prune to")
        return self.certificate.epsilon, self.certificate.delta

    def to_dataframe(self) -> DataFrame:
        """One row a policy: label, weights it was solved for (w_…), rewards (with …_stderr), regulariser."""
        return dataframe(self.objectives, self.members)

    def save(self, folder: str | Path, backend: PolicyBackend) -> Path:
        """Write the portfolio to a folder, whole or not at all; ``backend`` writes the policies.

        An existing portfolio there is replaced; any other non-empty folder is refused. Raises ArtifactError where the
        disk is full or read-only.
        """
        self._check_problem(backend)
        target = Path(folder)
        refuse_foreign_folder(target, {PORTFOLIO_FILE})
        return self.write_into(target, backend)

    def write_into(self, folder: Path, backend: PolicyBackend) -> Path:
        """``save`` without the check of what is there, for builds, whose journal already is."""
        save_artifact(folder, self._record(), [member.policy for member in self.members], backend)
        return folder

    def _record(self) -> PortfolioRecord:
        return PortfolioRecord.model_validate(
            {
                "schema_version": SCHEMA_VERSION,
                "created_by": f"palm-theory {__version__}",
                **self.declarations.to_dict(),
                "problem": self.problem,
                "fingerprint": self.fingerprint,
                "strategy": self.strategy,
                "seed": self.seed,
                "solves": self.solves,
                "certificate": self.certificate.to_dict(),
                "policies": [
                    {
                        "name": member.name,
                        "label": member.label,
                        "weights": None if member.weights is None else member.weights.tolist(),
                        "value": member.value.to_dict(),
                        "files": {},
                    }
                    for member in self.members
                ],
            }
        )

    @classmethod
    def load(cls, folder: str | Path, backend: PolicyBackend | None = None) -> Portfolio:
        """Read a portfolio. Runs no code from the folder.

        With the backend it was made for, policies are loaded by it. Without one, policies that are plain data are
        loaded and any other is left as the path of its folder; select, values, mixture and audits need no policy.
        Raises ArtifactError on a missing, unfinished, corrupt or newer portfolio, InputError for another backend.
        """
        root = Path(folder)
        record = read_artifact(root)
        if backend is not None:
            check_same_problem(backend, record.problem, record.fingerprint)
        policies = load_policies(root, record, backend)
        try:
            return cls._from_record(record, policies)
        except InputError as error:
            raise ArtifactError(f"{root / PORTFOLIO_FILE} is not a valid portfolio: {error}") from None

    @classmethod
    def _from_record(cls, record: PortfolioRecord, policies: list[Any]) -> Portfolio:
        members = []
        for k, (entry, policy) in enumerate(zip(record.policies, policies, strict=True)):
            weights = None if entry.weights is None else np.array(entry.weights)
            value = Value.from_dict(entry.value.model_dump(exclude_none=True))
            members.append(Member(k, entry.label, policy, value, weights))
        return cls(
            declarations=record.declarations.validated(),
            members=tuple(members),
            certificate=Certificate.from_dict(record.certificate),
            problem=record.problem,
            fingerprint=record.fingerprint,
            strategy=record.strategy,
            seed=record.seed,
            solves=record.solves,
        )

    def __rich__(self) -> Any:
        return rich_table(self.objectives, self.members, f"Portfolio of {len(self)} policies", str(self.certificate))

    def __repr__(self) -> str:
        return f"<Portfolio of {len(self)} policies over {', '.join(self.objectives)}; {self.certificate}>"

    def _repr_html_(self) -> str:
        return html_table(self.objectives, self.members, str(self.certificate))
