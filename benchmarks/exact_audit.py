"""False claims: audits, smallest subsets and Adaptive on hostile finite instances, against rational arithmetic.

    OMP_NUM_THREADS=1 python -m benchmarks.exact_audit --instances 100000 [--seed 0] [--kind near-ties] [--show 3]

Every instance is a table of 2 to 8 policies with 1 to 4 objectives, part of it a portfolio. ``tests.core.exact_audit``
says what is true. A claim counts as false where the truth misses it by any positive amount; "beyond 1e-12" where it
misses it by more than that multiple of the numbers it is made of.
"""

from __future__ import annotations

import argparse
import collections
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from backends.table import TableBackend
from palm_theory import Adaptive, Value, audit, build_portfolio
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.selection import requirement, smallest_subset
from palm_theory.errors import PalmError
from palm_theory.geometry.corners import Target
from palm_theory.geometry.envelope import lower_envelope
from tests.core import exact_audit as exact

TOLERANCE = Fraction(1, 10**12)
SLACK = Fraction(1, 10**9)
"""How much more than the least, relatively, a gap may be claimed before it counts as not the least."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Policies' rewards (N, d) and f (N,), of which the first ``members`` are the portfolio."""

    kind: str
    rewards: np.ndarray
    regularizers: np.ndarray
    members: int

    @property
    def values(self) -> list[Value]:
        """The policies as the product takes them."""
        return [Value(row, float(f)) for row, f in zip(self.rewards, self.regularizers, strict=True)]

    @property
    def rows(self) -> list[exact.Row]:
        """The same, exactly."""
        return exact.exact_rows(self.rewards, self.regularizers)


Table = tuple[np.ndarray, np.ndarray]


def _uniform(rng: np.random.Generator, n: int, d: int) -> Table:
    return rng.random((n, d)), np.zeros(n)


def _integers(rng: np.random.Generator, n: int, d: int) -> Table:
    return rng.integers(0, 4, (n, d)).astype(float), rng.integers(0, 2, n) * rng.integers(0, 2, n).astype(float)


def _negative(rng: np.random.Generator, n: int, d: int) -> Table:
    return rng.random((n, d)), rng.random(n) * rng.choice([0.5, 1.5, 30.0])


def _scaled_objectives(rng: np.random.Generator, n: int, d: int) -> Table:
    return rng.random((n, d)) * 10.0 ** rng.uniform(-12, 12, d), np.zeros(n)


def _scaled(rng: np.random.Generator, n: int, d: int) -> Table:
    unit = 10.0 ** rng.choice([-12, -9, 9, 12])
    return rng.random((n, d)) * unit, rng.random(n) * unit * rng.choice([0.0, 0.5])


def _useless(rng: np.random.Generator, n: int, d: int) -> Table:
    """Ordinary policies, and some that are never best: with an enormous f, or with one enormous loss."""
    rewards, regularizers = rng.random((n, d)), np.zeros(n)
    for k in rng.choice(n, rng.integers(1, n + 1), replace=False):
        if rng.random() < 0.7:
            regularizers[k] = 10.0 ** rng.uniform(3, 15)
        else:
            rewards[k] *= 1e-3
            rewards[k, rng.integers(d)] = -(10.0 ** rng.uniform(3, 15))
    return rewards, regularizers


def _near_ties(rng: np.random.Generator, n: int, d: int) -> Table:
    rewards = rng.integers(0, 4, (n, d)).astype(float)
    noise = rng.choice([1e-16, 1e-15, 1e-13, 1e-12, 1.5e-12, 1e-11, 1e-9])
    twins = rng.integers(0, n, n)
    return np.where(rng.random((n, 1)) < 0.6, rewards[twins], rewards) + noise * rng.integers(0, 3, (n, d)), np.zeros(n)


def _copies(rng: np.random.Generator, n: int, d: int) -> Table:
    """Duplicates, and objectives in which nothing differs or nothing is worth anything."""
    rewards = rng.random((n, d))[rng.integers(0, n, n)]
    rewards[:, rng.random(d) < 0.4] = rng.choice([0.0, 0.5])
    return rewards, np.zeros(n)


def _on_a_line(rng: np.random.Generator, n: int, d: int) -> Table:
    """Mixtures of d policies, to rounding: most are best nowhere, or tie."""
    return rng.dirichlet(np.full(d, 0.5), n) @ rng.random((d, d)), np.zeros(n)


def _tiny_and_large(rng: np.random.Generator, n: int, d: int) -> Table:
    return rng.random((n, d)) * 10.0 ** rng.uniform(-9, 3, (n, 1)), np.zeros(n)


def _worth_nothing(rng: np.random.Generator, n: int, d: int) -> Table:
    """f such that the optimum is about 0 somewhere."""
    rewards = rng.integers(0, 5, (n, d)).astype(float)
    at = rng.dirichlet(np.ones(d)) if rng.random() < 0.5 else np.full(d, 1 / d)
    return rewards, np.where(rng.random(n) < 0.7, rewards @ at, rng.random(n))


def _extreme(rng: np.random.Generator, n: int, d: int) -> Table:
    """One policy is enormously good for somebody and bad for others."""
    rewards = rng.random((n, d))
    rewards[rng.integers(n), rng.integers(d)] = 10.0 ** rng.uniform(3, 12) * rng.choice([-1.0, 1.0])
    return rewards, np.zeros(n)


KINDS: dict[str, Callable[[np.random.Generator, int, int], Table]] = {
    "uniform": _uniform,
    "integers": _integers,
    "negative": _negative,
    "scaled-objectives": _scaled_objectives,
    "scaled": _scaled,
    "useless": _useless,
    "near-ties": _near_ties,
    "copies": _copies,
    "on-a-line": _on_a_line,
    "tiny-and-large": _tiny_and_large,
    "worth-nothing": _worth_nothing,
    "extreme": _extreme,
}

LARGEST = {1: 8, 2: 8, 3: 6, 4: 5}
"""Policies, by number of objectives: exact corners are dear."""


def instance(seed: int, number: int, kind: str | None = None) -> Instance:
    """Instance ``number`` of a seed."""
    rng = np.random.default_rng((seed, number))
    kind = kind or list(KINDS)[number % len(KINDS)]
    d = int(rng.choice([1, 2, 2, 2, 3, 3, 4]))
    n = int(rng.integers(2, LARGEST[d] + 1))
    rewards, regularizers = KINDS[kind](rng, n, d)
    return Instance(kind, rewards, regularizers, int(rng.integers(1, n + 1)))


class Report:
    """Counts, by what was looked at and by kind of instance, with a few examples of each."""

    def __init__(self, show: int) -> None:
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._show = show

    def note(self, found: Instance, what: str, detail: object = "") -> None:
        """Count one; print the first few."""
        self.counts[what, found.kind] += 1
        if self.counts[what, found.kind] <= self._show and what not in ("audits", "strictly true"):
            print(f"{what}: {found.kind} {detail}\n  {found.rewards.tolist()} f {found.regularizers.tolist()} ", end="")
            print(f"members {found.members}")

    def table(self) -> str:
        """One line a finding, most frequent first, with the kinds it was seen in."""
        totals: collections.Counter[str] = collections.Counter()
        for (what, _), count in self.counts.items():
            totals[what] += count
        lines = []
        for what, total in totals.most_common():
            kinds = ", ".join(f"{kind} {count}" for (w, kind), count in self.counts.most_common() if w == what)
            lines.append(f"{total:8d}  {what}: {kinds}")
        return "\n".join(lines)


def check_audit(found: Instance, report: Report, rng: np.random.Generator) -> None:
    """Every number of the certificates of the portfolio beside all policies, asked for in three ways."""
    rows = found.rows
    known = exact.truth(rows[: found.members], rows)
    members, everyone = found.values[: found.members], found.values
    epsilon, delta = float(rng.choice([0.0, 0.0, 0.1, 0.5])), float(rng.choice([0.0, 0.01, 0.3]))
    for asked_epsilon, asked_delta in ((None, None), (epsilon, None), (None, delta)):
        try:
            certificate = audit(members, reference=everyone, epsilon=asked_epsilon, delta=asked_delta)
        except PalmError as error:
            report.note(found, "audit refused", error)
            continue
        report.note(found, "audits")
        check_certificate(found, report, known, certificate, asked_epsilon is not None)
    certificate = audit(members, reference=everyone)
    for asked in (0.0, 0.05, 0.1, 0.5, 1.0):
        for extra in (0.0, 0.1):
            if certificate.certifies(asked, extra, within_reference=True):
                missed = exact.broken_by(known, Fraction(asked), Fraction(extra))
                judge(found, report, "certifies", missed, certificate)


def check_certificate(
    found: Instance, report: Report, known: Sequence[exact.Truth], certificate: Certificate, epsilon_given: bool
) -> None:
    """ε, δ, additive gap and worst weight of one certificate."""
    if certificate.kind is not Kind.EXACT:
        report.note(found, f"kind {certificate.kind.value}")
        return
    least_additive = exact.least_delta(known, Fraction(0))
    judge(found, report, "additive gap", exact.broken_by(known, Fraction(0), Fraction(certificate.additive_gap)))
    if Fraction(certificate.additive_gap) > least_additive * (1 + SLACK) + _noise(known):
        report.note(found, "additive gap is not the least", (certificate.additive_gap, float(least_additive)))
    delta = Fraction(certificate.delta)
    if math.isinf(certificate.epsilon):
        if (least := exact.least_epsilon(known, delta)) is not None:
            report.note(found, "no epsilon, though one holds", float(least))
        return
    epsilon = Fraction(certificate.epsilon)
    judge(found, report, "claim", exact.broken_by(known, epsilon, delta), certificate)
    least = exact.least_epsilon(known, delta) if not epsilon_given else None
    if not epsilon_given and least is None:
        report.note(found, "an epsilon, though none holds", certificate.epsilon)
        return
    if least is not None and epsilon < least - TOLERANCE:
        report.note(found, "epsilon too small by more than 1e-12", (certificate.epsilon, float(least)))
    if least is not None and epsilon > least + SLACK:
        report.note(found, "epsilon is not the least", (certificate.epsilon, float(least)))
    if epsilon_given and delta > exact.least_delta(known, epsilon) * (1 + SLACK) + _noise(known):
        report.note(found, "delta is not the least", certificate.delta)
    check_worst_weight(found, report, certificate, epsilon_given)


def _noise(known: Sequence[exact.Truth]) -> Fraction:
    return TOLERANCE * max(row.magnitude for row in known)


def check_worst_weight(found: Instance, report: Report, certificate: Certificate, epsilon_given: bool) -> None:
    """At the worst weight the claim, made a little stronger, is false."""
    if (certificate.delta if epsilon_given else certificate.epsilon) == 0:
        return
    assert certificate.worst_weight is not None
    at = exact.simplex_weights(certificate.worst_weight)
    rows = found.rows
    lower, optimum = exact.best_at(rows[: found.members], at), exact.best_at(rows, at)
    short = (1 - Fraction(certificate.epsilon)) * optimum - Fraction(certificate.delta) - lower
    if abs(short) > SLACK * max(exact.magnitude_at(rows[: found.members], at), exact.magnitude_at(rows, at)):
        report.note(found, "worst weight is not where the gap is", (certificate.worst_weight.tolist(), float(short)))


def judge(found: Instance, report: Report, what: str, missed: Fraction, detail: object = "") -> None:
    """One claim that the truth misses by ``missed`` of the numbers it is made of."""
    if missed > TOLERANCE:
        report.note(found, f"{what} false beyond 1e-12", (float(missed), str(detail)))
    elif missed > 0:
        report.note(found, f"{what} false within 1e-12", (float(missed), str(detail)))


def check_subset(found: Instance, report: Report, rng: np.random.Generator) -> None:
    """The smallest subset that keeps a target beside all candidates: whether it does, and is."""
    values = np.stack([value.vertex_values for value in found.values])
    rows = [tuple(Fraction(float(x)) for x in row) for row in values]
    epsilon, delta = float(rng.choice([0.0, 0.01, 0.1])), float(rng.choice([0.0, 0.0, 0.05]))
    if min(min(row) for row in rows) < 0:
        epsilon = 0.0
    required = requirement(Target(epsilon, delta), lambda weights: lower_envelope(values, weights).best)
    try:
        selection = smallest_subset(values, required)
    except PalmError as error:
        report.note(found, "smallest subset refused", error)
        return
    members = [rows[int(k)] for k in selection.members]
    missed = exact.broken_by(exact.truth(members, rows), Fraction(epsilon), Fraction(delta))
    judge(found, report, "smallest subset", missed, (selection.members.tolist(), epsilon, delta))
    if len(rows) <= 5 and selection.is_smallest and len(rows[0]) <= 3:
        size = exact.smallest_size(rows, Fraction(epsilon), Fraction(delta))
        if selection.size > size:
            report.note(found, "smallest subset is not the smallest", (selection.members.tolist(), size))


def check_adaptive(found: Instance, report: Report, rng: np.random.Generator) -> None:
    """What Adaptive builds on the table, against its target and its own certificate."""
    if found.rewards.min() < 0:
        return
    epsilon = float(rng.choice([0.0, 0.01, 0.1]))
    try:
        names = [f"r{i}" for i in range(found.rewards.shape[1])]
        table = pd.DataFrame(found.rewards, columns=pd.Index(names)).assign(f=found.regularizers)
        backend = TableBackend(table, objectives=names, regularizer="f")
        portfolio = build_portfolio(backend, Adaptive(epsilon), progress=False)
    except PalmError as error:
        report.note(found, "adaptive refused", error)
        return
    rows = exact.exact_rows(backend.rewards, found.regularizers)
    members = [rows[member.policy] for member in portfolio]
    known = exact.truth(members, rows)
    certificate = portfolio.certificate
    if min(row.optimum for row in known) >= 0:
        judge(found, report, "adaptive's target", exact.broken_by(known, Fraction(epsilon), Fraction(0)), epsilon)
    if not math.isinf(certificate.epsilon):
        missed = exact.broken_by(known, Fraction(certificate.epsilon), Fraction(certificate.delta))
        judge(found, report, "adaptive's certificate", missed, certificate)
    elif (least := exact.least_epsilon(known, Fraction(0))) is not None:
        report.note(found, "adaptive: no epsilon, though one holds", float(least))


def main(arguments: Sequence[str] | None = None) -> None:
    """Look at the instances asked for and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--show", type=int, default=0, help="examples printed of every finding and kind")
    parser.add_argument("--checks", default="audit,subset,adaptive")
    options = parser.parse_args(arguments)
    checks = {"audit": check_audit, "subset": check_subset, "adaptive": check_adaptive}
    report = Report(options.show)
    for number in range(options.instances):
        found = instance(options.seed, number, options.kind)
        rng = np.random.default_rng((options.seed, number, 1))
        for name in options.checks.split(","):
            checks[name](found, report, rng)
    print(report.table())


if __name__ == "__main__":
    main()
