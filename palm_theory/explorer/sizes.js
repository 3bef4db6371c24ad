// How many policies: the certified gap of the best subset of every size.

class Sizes {
  constructor(app) {
    this.app = app;
    const { state } = app;
    this.slider = byId("size");
    this.slider.max = state.sizes;
    this.slider.disabled = state.sizes < 2;
    this.slider.addEventListener("input", () => state.setSize(Number(this.slider.value)));
    byId("fewer").addEventListener("click", () => state.setSize(state.size - 1));
    byId("more").addEventListener("click", () => state.setSize(state.size + 1));
    this.relative = app.references[0].certificates.at(-1).epsilon !== null;
    for (const unit of ["relative", "absolute"]) {
      const radio = byId(`gap-${unit}`);
      radio.checked = (unit === "relative") === this.relative;
      radio.addEventListener("change", () => {
        this.relative = byId("gap-relative").checked;
        this.draw();
      });
    }
    this.chart = byId("size-chart");
    onWidth(this.chart, (width) => {
      this.width = width;
      this.draw();
    });
    state.subscribe((what) => what === "size" && this.draw());
    this.draw();
  }

  gap(certificate) {
    return this.relative ? certificate.epsilon : certificate.additive_gap;
  }

  text(gap) {
    return this.relative ? percent(gap) : number(gap);
  }

  draw() {
    const { app } = this;
    const { state, data } = app;
    this.slider.value = state.size;
    const members = app.members();
    this.slider.setAttribute("aria-valuetext", `K = ${state.size}`);
    byId("size-value").textContent = state.size;
    byId("fewer").disabled = state.size === 1;
    byId("more").disabled = state.size === state.sizes;
    const symbol = this.relative ? "ε" : "δ";
    const sentences = app.references.map((reference, n) => {
      const certificate = reference.certificates[state.size - 1];
      const gap = this.gap(certificate);
      const text = el("p", {});
      if (gap === null) text.append(certificate.kind === "unknown" ? `Nothing is certified against ${reference.text}.` : `No ${symbol} holds for every weight against ${reference.text}; look at ${this.relative ? "δ" : "ε"}.`);
      else {
        const word = { exact: "is exactly", bounded: "is at most", sampled: "was seen up to", unknown: "is unknown:" }[certificate.kind];
        const share = this.relative ? " of what is possible" : "";
        const target = reference.optimum ? `J* (${reference.text})` : reference.text;
        const extra = this.relative && certificate.delta > 0 ? ` and δ = ${number(certificate.delta)}` : "";
        const sure = certificate.confidence < 1 && certificate.proof ? `, with confidence ${percent(certificate.confidence)}` : "";
        text.append(`Worst gap over all weights ${word} `, el("strong", { class: "gap" }, `${symbol} = ${this.text(gap)}`), `${share}${extra} against ${target}${sure}.`);
      }
      return el("div", { class: "regret", "data-reference": n }, badge(certificate.kind), text);
    });
    const subset = data.subsets[state.size - 1];
    const chosen = members.length < state.size ? `${members.length} policies suffice: ` : "";
    const names = members.length === app.policies.length ? `All ${members.length} policies` : members.map((k) => app.policies[k].name).join(", ");
    const judged = app.references.at(-1);
    const proof = state.size === state.sizes ? "" : subset.best
      ? `Proven: no other ${state.size} of these ${state.sizes} do better against ${judged.text}.`
      : subset.least_gap > 0
        ? `A better choice of ${state.size} may exist; none gets below ${judged.certificates.at(-1).epsilon === null ? number(subset.least_gap) : percent(subset.least_gap)}.`
        : `A better choice of ${state.size} may exist: that was not settled.`;
    byId("size-text").replaceChildren(...sentences, el("p", { class: "small" }, `${chosen}${names}. ${proof}`));
    if (this.width) this.plot(this.width);
  }

  plot(width) {
    const { app } = this;
    const { state, data } = app;
    const gaps = app.references[0].certificates.map((certificate) => this.gap(certificate));
    const count = gaps.length;
    const finite = gaps.filter((gap) => gap !== null);
    const high = Math.max(...finite, 0) * 1.05 || 1;
    const [left, right, top, tall] = [52, 14, 10, 116];
    const x = (k) => left + (count > 1 ? ((k - 1) / (count - 1)) * (width - left - right) : (width - left - right) / 2);
    const y = (gap) => top + (1 - gap / high) * tall;
    const picture = svg("svg", { width, height: top + tall + 40, class: "drawing", role: "img", "aria-label": "certified worst gap against the number of policies" });
    for (const value of ticks(0, high)) {
      picture.append(
        svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
        svg("text", { x: left - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, this.text(value)),
      );
    }
    const line = [];
    gaps.forEach((gap, i) => gap !== null && line.push(`${line.length ? "L" : "M"}${x(i + 1)},${y(gap)}`));
    picture.append(svg("path", { d: line.join("") || "M0,0", class: "gap-line" }));
    gaps.forEach((gap, i) => {
      if (gap === null) return;
      const kind = data.subsets[i].best ? "proven" : "open";
      picture.append(svg("circle", { cx: x(i + 1), cy: y(gap), r: count > 40 ? 2.4 : 3.4, class: `gap-point ${kind}` }));
    });
    const now = gaps[state.size - 1];
    picture.append(svg("line", { x1: x(state.size), x2: x(state.size), y1: top, y2: top + tall, class: "cursor" }));
    if (now !== null) picture.append(svg("circle", { cx: x(state.size), cy: y(now), r: 7, class: "gap-now" }));
    const step = Math.max(1, Math.ceil(count / Math.min(12, width / 40)));
    for (let k = 1; k <= count; k += step) picture.append(svg("text", { x: x(k), y: top + tall + 16, class: "tick", "text-anchor": "middle" }, k));
    picture.append(svg("text", { x: (left + width - right) / 2, y: top + tall + 34, class: "axis", "text-anchor": "middle" }, "number of policies K"));
    const hit = svg("rect", { x: left - 8, y: top, width: width - left - right + 16, height: tall + 20, class: "hit" });
    picture.append(hit);
    hit.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      state.setSize(1 + ((event.clientX - box.left - left) / (width - left - right)) * (count - 1));
    });
    this.chart.replaceChildren(picture);
  }
}
