// What is known of a reference's best value J* at any weight, and of the regret of the policy that serves.

// U(w) = min { sum l_k u_k : sum l_k w_k = w, l >= 0 } >= J*, by the primal simplex method from the simplex's vertices.
// Whatever basis it stops at is feasible, so its value is an upper bound.
class UpperHull {
  constructor(points, upper) {
    this.points = points;
    this.upper = upper;
    const d = points[0].length;
    this.start = vertices(d).map((v) => points.findIndex((p) => p.every((x, i) => x === v[i])));
  }

  at(w) {
    const { points, upper } = this;
    const d = w.length;
    const basis = [...this.start];
    const inverse = vertices(d);
    const amount = [...w];
    const unit = Math.max(...basis.map((k) => Math.abs(upper[k])), 1e-300);
    for (let step = 0; step < 500; step++) {
      const price = Array(d).fill(0);
      for (let i = 0; i < d; i++) for (let j = 0; j < d; j++) price[j] += upper[basis[i]] * inverse[i][j];
      let entering = -1;
      let least = -1e-12 * unit;
      for (let k = 0; k < points.length; k++) {
        const cost = upper[k] - scalarize(points[k], price);
        if (cost < least) {
          entering = k;
          // Late on the first candidate is taken: that cannot cycle.
          if (step > 200) break;
          least = cost;
        }
      }
      if (entering < 0) break;
      const direction = inverse.map((row) => scalarize(row, points[entering]));
      let leaving = -1;
      let length = Infinity;
      for (let i = 0; i < d; i++) {
        if (direction[i] > 1e-11 && amount[i] / direction[i] < length) {
          length = amount[i] / direction[i];
          leaving = i;
        }
      }
      if (leaving < 0) break;
      for (let i = 0; i < d; i++) {
        amount[i] = i === leaving ? length : Math.max(0, amount[i] - length * direction[i]);
        if (i === leaving) continue;
        const factor = direction[i] / direction[leaving];
        for (let j = 0; j < d; j++) inverse[i][j] -= factor * inverse[leaving][j];
      }
      inverse[leaving] = inverse[leaving].map((x) => x / direction[leaving]);
      basis[leaving] = entering;
    }
    return amount.reduce((total, l, i) => total + l * upper[basis[i]], 0);
  }
}

class Reference {
  constructor(data, policies) {
    Object.assign(this, data);
    this.policies = policies;
    this.everyone = policies.map((_, k) => k);
    const knows = data.knows;
    this.rows = knows.values ?? knows.found ?? policies;
    this.all = this.rows.map((_, k) => k);
    this.hull = knows.type === "solved" && knows.upper.length ? new UpperHull(knows.weights, knows.upper) : null;
  }

  // [low, high] around J* at w; high is Infinity where nothing is known, low -Infinity.
  bracket(w) {
    const known = best(this.rows, this.all, w).value;
    if (this.knows.type === "finite") return [known, known];
    if (this.hull) return [known, Math.max(known, this.hull.at(w))];
    if (this.knows.type === "certificate") return [known, known + allowed(this.certificates.at(-1), known)];
    return [known, Infinity];
  }

  // The regret of the policy that serves at w, {low, high, kind, from}, for K = size. `high` is what can be said; `from`
  // is what says it: "values" known at w itself, or the "certificate", which holds everywhere.
  regret(w, index, size) {
    const mine = scalarize(this.policies[index], w);
    const certificate = this.certificates[size - 1];
    const { limits } = this.knows;
    if (limits) {
      const estimate = Math.max(0, best(this.rows, this.all, w).value - mine);
      if (!limits.upper) return { low: 0, high: Infinity, kind: "unknown", from: "values", estimate };
      const everyone = limits.upper.map((_, k) => k);
      const high = best(limits.upper, everyone, w).value - scalarize(limits.lower[index], w);
      return { low: 0, high: Math.max(0, high), kind: "bounded", from: "values", estimate };
    }
    const noise = rounding([this.policies[index], ...this.rows], w);
    const tidy = (x) => (x <= noise ? 0 : x);
    const [lowest, highest] = this.bracket(w);
    const low = tidy(lowest - mine);
    const byValues = tidy(highest - mine);
    const byCertificate = certificate.proof ? allowed(certificate, mine) : Infinity;
    const high = Math.min(byValues, byCertificate);
    if (high === Infinity) return { low, high, kind: "unknown", from: "values" };
    const from = this.knows.type === "certificate" || byCertificate < byValues ? "certificate" : "values";
    const exact = byValues - low <= Math.max(noise, 1e-9 * Math.abs(highest));
    if (exact) return { low, high: byValues, kind: "exact", from: "values" };
    return { low, high, kind: "bounded", from };
  }
}

// How much a policy worth `value` may lose where its certificate holds: J* <= (L + delta)/(1 - epsilon) and L + gap.
function allowed(certificate, value) {
  const options = [certificate.additive_gap ?? Infinity];
  const { epsilon, delta } = certificate;
  if (epsilon !== null && epsilon < 1 && delta !== null) options.push((epsilon * value + delta) / (1 - epsilon));
  return Math.max(0, Math.min(...options));
}
