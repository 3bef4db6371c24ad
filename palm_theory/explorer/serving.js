// Who serves the current weights, what they get, and how much better it could be.

class Serving {
  constructor(app) {
    this.app = app;
    this.root = byId("serving");
    app.state.subscribe(() => this.draw());
    this.draw();
  }

  draw() {
    const { app } = this;
    const { data, state } = app;
    const { index, value } = app.serving();
    const policy = data.policies[index];
    const heading = el("h3", {}, swatch(index), el("span", { class: "policy-name", id: "served-by" }, policy.name), el("span", { class: "policy-label" }, policy.label));
    const rows = data.objectives.map((name, i) => this.reward(name, policy.rewards[i], policy.rewards_stderr?.[i], state.weights[i]));
    const list = el("div", { class: "rewards", role: "table", "aria-label": `rewards of ${app.name(index)}` }, ...rows);
    const parts = [list];
    const penalised = data.policies.some((p) => p.regularizer !== 0);
    const spread = policy.regularizer_stderr ? ` ± ${number(policy.regularizer_stderr)}` : "";
    if (penalised) {
      const kl = data.beta ? ` = β·KL with β = ${number(data.beta)}, KL = ${number(policy.regularizer / data.beta)} nats` : "";
      parts.push(el("p", { class: "small" }, `regulariser f = ${number(policy.regularizer)}${spread}${kl}`));
    }
    const formula = penalised ? "J_w = ⟨w, R⟩ − f" : "J_w = ⟨w, R⟩";
    const second = app.runnerUp();
    const behind = second ? el("span", { class: "small" }, ` next best: ${app.name(second.index)}, ${number(value - second.value)} behind`) : null;
    parts.push(el("p", {}, `${formula} = `, el("strong", { id: "value" }, number(value)), behind));
    this.root.replaceChildren(heading, ...parts, this.regrets(index));
  }

  reward(name, reward, error, weight) {
    const share = Math.min(1, Math.max(0, reward / this.app.data.reward_max));
    const bar = svg("svg", { class: "bar", height: 12, "aria-hidden": "true" }, svg("rect", { width: "100%", height: 12, class: "bar-back" }), svg("rect", { width: `${100 * share}%`, height: 12, class: "bar-front" }));
    const text = number(reward) + (error === undefined || error === null ? "" : ` ± ${number(error)}`);
    return el("div", { role: "row", class: "reward" },
      el("span", { role: "rowheader", class: "reward-name", title: name }, name),
      el("span", { role: "presentation", class: "bar-box" }, bar),
      el("span", { role: "cell", class: "figure" }, text),
      el("span", { role: "cell", class: "small" }, `× ${fixed(weight)}`));
  }

  regrets(index) {
    const { app } = this;
    const { state } = app;
    const lines = app.references.map((reference, n) => {
      const regret = reference.regret(state.weights, index, state.size);
      return el("div", { class: "regret", "data-reference": n }, badge(regret.kind), el("p", {}, ...this.sentence(reference, regret)));
    });
    return el("div", { class: "regrets", id: "regrets" }, el("h4", {}, "Regret at these weights"), ...lines);
  }

  sentence(reference, regret) {
    const against = reference.optimum ? `J* (${reference.text})` : reference.text;
    const best = reference.bracket(this.app.state.weights);
    const relative = (x) => (reference.optimum && best[1] > 0 && Number.isFinite(best[1]) ? ` (${percent(x / best[1])} of J*)` : "");
    const { limits } = reference.knows;
    if (limits) {
      const seen = `Estimated ${number(regret.estimate)} against ${against}. `;
      if (regret.kind === "unknown") return [seen + "A value was measured only once, so there is no interval."];
      const approximate = limits.interval === "normal" ? " (normal intervals: an approximation)" : "";
      return [seen, "At most ", el("strong", { class: "regret-high" }, number(regret.high)), ` with confidence ${percent(limits.confidence)}${approximate}.`];
    }
    if (regret.kind === "unknown") return [`Nothing is known of ${against} here.`];
    const high = el("strong", { class: "regret-high" }, number(regret.high));
    if (regret.kind === "exact" && regret.high === 0) return ["None: exactly ", high, `. Nothing in ${against} is better here.`];
    if (regret.kind === "exact") return ["Exactly ", high, `${relative(regret.high)} against ${against}.`];
    const why = regret.from === "certificate" ? "by the certificate, which holds for all weights" : "J* is bounded here by its values at other weights, being convex";
    const from = regret.low > 0 ? `between ${number(regret.low)} and ` : "at most ";
    return [from[0].toUpperCase() + from.slice(1), high, `${relative(regret.high)} against ${against}: ${why}.`];
  }
}
