// All policies: what they are worth, whom they serve.

class Table {
  constructor(app) {
    this.app = app;
    const { data } = app;
    this.trained = data.policies.some((p) => p.weights);
    this.penalised = data.policies.some((p) => p.regularizer !== 0);
    const heads = ["policy", ...(this.trained ? ["solved for"] : []), ...data.objectives.map((name) => `R ${name}`)];
    if (this.penalised) heads.push("f", ...(data.beta ? ["KL (nats)"] : []));
    heads.push("share of users", "J_w now");
    this.heads = heads;
    byId("policies-head").replaceChildren(el("tr", {}, ...heads.map((head) => el("th", { scope: "col", title: head }, head))));
    this.rows = data.policies.map((policy, k) => this.row(policy, k));
    byId("policies-body").replaceChildren(...this.rows.map((row) => row.element));
    app.state.subscribe((what) => {
      if (what === "size") this.shares();
      if (what === "size" || what === "weights") this.values();
    });
    this.shares();
    this.values();
  }

  row(policy, k) {
    const { app } = this;
    const { data } = app;
    const go = el("button", { type: "button", class: "go", title: "move to users it serves", onclick: () => app.visit(k) }, swatch(k), el("span", {}, policy.name, policy.label ? ` ${policy.label}` : ""));
    const error = (x) => (x === undefined || x === null ? "" : ` ± ${number(x)}`);
    const cells = [go];
    if (this.trained) cells.push(policy.weights ? policy.weights.map((w) => w.toFixed(2)).join(" ") : "");
    data.objectives.forEach((_, i) => cells.push(number(policy.rewards[i]) + error(policy.rewards_stderr?.[i])));
    if (this.penalised) {
      cells.push(number(policy.regularizer) + error(policy.regularizer_stderr));
      if (data.beta) cells.push(number(policy.regularizer / data.beta) + error(policy.regularizer_stderr === undefined ? null : policy.regularizer_stderr / data.beta));
    }
    const [share, value] = [el("span", { class: "share" }), el("span", { class: "now" })];
    cells.push(share, value);
    const element = el("tr", { "data-policy": k });
    cells.forEach((cell, n) => {
      const attributes = { "data-head": this.heads[n] };
      element.append(n === 0 ? el("th", { scope: "row", ...attributes }, cell) : el("td", { class: ["solved for", "share of users", "J_w now"].includes(this.heads[n]) ? "figure long" : "figure", ...attributes }, cell));
    });
    return { element, share, value };
  }

  shares() {
    const { app } = this;
    const { shares, exact } = app.shares();
    const members = app.members();
    this.rows.forEach(({ element, share }, k) => {
      const inside = members.includes(k);
      element.classList.toggle("out", !inside);
      share.textContent = inside ? percent(shares[k]) : "not in this subset";
    });
    byId("share-note").replaceChildren(badge(exact ? "exact" : "sampled"), exact
      ? " Shares of users are areas of cells: the share of all weights, taken as equally likely."
      : ` Shares of users are counted over ${USERS.toLocaleString("en")} random weights, equally likely: off by a percentage point at most, nearly always.`);
  }

  values() {
    const { app } = this;
    const { index } = app.serving();
    const w = app.state.weights;
    this.rows.forEach(({ element, value }, k) => {
      value.textContent = number(scalarize(app.rows[k], w)) + (k === index ? " ← serves" : "");
      element.classList.toggle("serves", k === index);
      if (k === index) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    });
  }
}
