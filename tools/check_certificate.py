"""Check a portfolio's proof in exact fractions, with Python alone: python check_certificate.py proof.json

Claim: max_k <w, G_k> >= (1 - epsilon) J*_w - delta for every w >= 0 with sum 1, where G_k = R_k - f_k. Against finitely
many rivals each rival j has a mixture of the policies nowhere below (1 - epsilon) G_j - delta. Else the convex J* is
bounded at some weights, each time with a witness, and so at the corners of max_k <w, G_k>, found here, one of which is
the worst weight (Theorem 3). Exit codes: 0 proven, 1 not proven."""

import json
import re
import sys
from decimal import ROUND_CEILING, Context
from fractions import Fraction


def require(holds, what):
    _ = holds or sys.exit(f"NOT PROVEN: {what}")


def dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def exp_up(x):  # decimal's exp is off by less than its last digit; the last term is for underflow
    up = Context(prec=60, rounding=ROUND_CEILING)
    return Fraction(up.exp(up.divide(x.numerator, x.denominator))) * (1 + Fraction(1, 10**50)) + Fraction(1, 10**60)


def corners(policies, unit):
    """The vertices w of {t >= <w, G_k> for all k}, with t and what is tight: double description, policy by policy."""
    d, up = len(unit), (1 << len(unit)) - 1  # bit i: w_i = 0; bit d + k: policy k is best; straight up, all w_i = 0
    found = {w: (policies[0][i], up ^ 1 << i | 1 << d) for i, w in enumerate(unit)}
    for k, policy in enumerate(policies[1:], d + 1):
        slack = {w: t - dot(w, policy) for w, (t, _) in found.items()}
        new = {w: (t, tight | (slack[w] == 0) << k) for w, (t, tight) in found.items() if slack[w] >= 0}
        for below in (w for w in found if slack[w] < 0):
            if below in unit:
                new[below] = (dot(below, policy), found[below][1] & up | 1 << k)
            for above in (w for w in found if slack[w] > 0):
                edge = found[above][1] & found[below][1]
                others = (tight for w, (_, tight) in found.items() if w not in (above, below))
                if edge.bit_count() >= d - 1 and edge & ~up and all(edge & ~tight for tight in others):
                    a, b = slack[above] / (slack[above] - slack[below]), slack[below] / (slack[below] - slack[above])
                    w = tuple(b * x + a * y for x, y in zip(above, below, strict=True))
                    new[w] = (dot(w, policy), edge | 1 << k)
        found = new
    return found


def decision(problem, w, values, rho):
    """A bandit or an MDP: J* <= <start, V> + rho/(1 - gamma) for V >= 0 that lies nowhere below TV - rho."""
    beta, gamma, steps = problem["beta"], problem["discount"], [a for state in problem["states"] for a in state]
    signs = [p for a in steps for p in (a["share"], *(p for _, p in a["to"]))] + [*values, *problem["start"]]
    require(min(*signs, beta, gamma, rho) >= 0 and (rho == 0 or gamma < 1), "a number < 0, or an endless residual")
    for value, state in zip(values, problem["states"], strict=True):
        later = [sum(p * values[s] for s, p in a["to"]) / Fraction(sum(p for _, p in a["to"]) or 1) for a in state]
        gain = [dot(w, a["rewards"]) + gamma * v - value - rho for a, v in zip(state, later, strict=True)]
        soft = sum(a["share"] * (exp_up(g / beta) - 1) for a, g in zip(state, gain, strict=True)) if beta else 0
        require(soft <= 0 if beta else max(gain) <= 0, "a state's value lies below its update")
    return dot(problem["start"], values) / sum(problem["start"]) + (rho and rho / (1 - gamma))


def linear(problem, w, duals):
    """A linear program: weak duality; what is left of the reduced costs is taken at the end of its variable's range."""
    total, reduced = 0, [dot(w, column) for column in problem["columns"]]
    for row, y in zip(problem["rows"], duals, strict=True):
        reduced = [c - y * entry for c, entry in zip(reduced, row["entries"], strict=True)]
        total += y * row["range"][y > 0] if y else 0
    return total + sum(c * ends[c > 0] for c, ends in zip(reduced, problem["ranges"], strict=True) if c)


def check(proof):
    keep, delta, rivals = 1 - proof["epsilon"], proof["delta"], proof.get("rivals", [])
    policies = [[r - f for r in rows] for *rows, f in proof["policies"]]
    unit = [tuple(Fraction(i == j) for j, _ in enumerate(policies[0])) for i, _ in enumerate(policies[0])]
    require(keep >= 0 and {len(row) for row in policies} == {len(unit)}, "epsilon > 1, or policies of different length")
    for (*rewards, f), mixture in rivals:
        over = [dot(mixture, g) / sum(mixture) - keep * (r - f) for *g, r in zip(*policies, rewards, strict=True)]
        require(min(mixture) >= 0 and min(over) >= -delta, "a rival's mixture falls short of it")
    bound = {"decision": decision, "linear": linear, "word": lambda problem, w, upper: upper}[proof.get("type", "word")]
    given = [([x / sum(w) for x in w], proof["problem"], *witness) for w, *witness in proof.get("bounds", [])]
    require((given or rivals) and all(min(w) >= 0 for w, *_ in given), "nothing to compare with, or a weight < 0")
    known = [(w, dot(w, proof["constants"]) + bound(problem, w, *witness)) for w, problem, *witness in given]
    ends = [min(upper for w, upper in known if w[i] == 1) for i in range(len(unit)) if known]
    for corner, (best, _) in corners(policies, unit).items() if known else ():
        upper = min(
            m * u + dot(ends, [c - m * x for c, x in zip(corner, w, strict=True)])
            for m, w, u in ((min(c / x for c, x in zip(corner, w, strict=True) if x), w, u) for w, u in known)
        )
        require(best >= keep * upper - delta, f"not at the corner {[float(x) for x in corner]}")
    print(f"PROVEN: J_w >= (1 - {float(1 - keep)}) J*_w - {float(delta)} for every w. Given:", proof["rests_on"])


def read(path):  # numbers are floats in hexadecimal
    with open(path, encoding="utf-8") as file:
        text = re.sub(r'"(-?0x[^"]*)"', lambda number: repr(float.fromhex(number[1])), file.read())
    return json.loads(text, parse_float=lambda digits: Fraction(float(digits)))


if __name__ == "__main__":
    check(read(sys.argv[1]))
