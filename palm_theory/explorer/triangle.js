// d = 3: the triangle of weights with the exact cell of every policy. d > 3: such a triangle is a slice through the
// current weights, on which three objectives share what the others leave.

const HEAT_ROWS = 34;

class Triangle {
  constructor(app) {
    this.app = app;
    this.root = byId("picture");
    this.heat = false;
    this.hint =
      "Arrow keys move the weights, with Shift in large steps, with Alt in small ones; " +
      "1, 2, 3: a corner; Home: equal weights; End: the worst weight.";
    onWidth(this.root, (width) => this.draw(width));
    app.state.subscribe((what) => {
      if (what === "weights" && this.sameSlice()) this.place();
      else if (what !== "locks") this.later();
    });
  }

  // At most one redraw a frame, however fast the pointer is.
  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  get slice() {
    return this.app.state.d === 3 ? [0, 1, 2] : this.app.state.slice;
  }

  outside() {
    return this.app.state.weights.map((x, i) => (this.slice.includes(i) ? 0 : x));
  }

  sameSlice() {
    if (this.app.state.d === 3) return true;
    const now = this.outside();
    return this.drawn && this.drawn.slice === this.slice && now.every((x, i) => Math.abs(x - this.drawn.outside[i]) < 1e-12);
  }

  mass() {
    return this.app.state.d === 3 ? 1 : this.slice.reduce((t, i) => t + this.app.state.weights[i], 0);
  }

  // Vertex values on the slice: what each policy is worth where one of the three objectives takes all that is left.
  sliced(row, outside, mass) {
    if (this.app.state.d === 3) return row;
    const base = scalarize(row, outside);
    return this.slice.map((i) => base + mass * row[i]);
  }

  weightsAt(point) {
    if (this.app.state.d === 3) return point;
    const w = this.outside();
    this.slice.forEach((i, n) => (w[i] = point[n] * this.mass()));
    return w;
  }

  xy([a, b, c]) {
    const [A, B, C] = this.corners;
    return [a * A[0] + b * B[0] + c * C[0], a * A[1] + b * B[1] + c * C[1]];
  }

  point(x, y) {
    const [A, B, C] = this.corners;
    const c = (A[1] - y) / (A[1] - C[1]);
    const b = (x - A[0] - c * (C[0] - A[0])) / (B[0] - A[0]);
    return projected([1 - b - c, b, c]);
  }

  draw(width = this.width) {
    if (!width) return;
    this.width = width;
    const { app } = this;
    const names = this.slice.map((i) => app.data.objectives[i]);
    const mass = this.mass();
    if (mass < 1e-9) {
      this.drawn = null;
      this.handle = null;
      const text = `${names.join(", ")} have no weight to share. Give one of them some, or choose other objectives.`;
      this.root.replaceChildren(el("p", { class: "empty" }, text));
      return;
    }
    const outside = this.outside();
    this.drawn = { slice: this.slice, outside };
    const side = Math.min(width - 32, 560);
    const [left, top] = [(width - side) / 2, 40];
    const tall = side * Math.sqrt(0.75);
    const height = top + tall + 44;
    this.corners = [[left, top + tall], [left + side, top + tall], [left + side / 2, top]];
    const members = app.members();
    const rows = app.rows.map((row) => this.sliced(row, outside, mass));
    this.cells = cells(rows, members);
    const path = (points) => points.map((p) => this.xy(p).map((v) => v.toFixed(2)).join(",")).join(" ");
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "drawing" });
    if (this.heat) picture.append(this.heatMap(path));
    for (const { index, corners } of this.cells) {
      const cell = svg("polygon", { points: path(corners), fill: this.heat ? "none" : fill(index), class: "cell", "data-policy": index });
      cell.append(svg("title", {}, app.name(index)));
      picture.append(cell);
    }
    for (const corner of cornerWeights(this.cells, 3)) {
      const [x, y] = this.xy(corner);
      picture.append(svg("circle", { cx: x, cy: y, r: side > 400 ? 2.6 : 1.8, class: "corner" }));
    }
    for (const { index, corners, share } of this.cells) {
      if (share * side * tall * 0.5 < 900) continue;
      const [x, y] = this.xy(centroid(corners));
      picture.append(svg("text", { x, y: y + 4, class: "cell-name" }, app.policies[index].name));
    }
    const letters = Math.floor(width / 2 / 8.5);
    const share = app.state.d === 3 || mass > 1 - 1e-9 ? "all" : `${percent(mass)} to`;
    const label = (at, n, anchor, dy, dx = 0) =>
      svg("text", { x: at[0] + dx, y: at[1] + dy, class: "vertex", "text-anchor": anchor }, cut(`${share} ${names[n]}`, letters), svg("title", {}, names[n]));
    picture.append(
      label(this.corners[0], 0, "start", 28, -10),
      label(this.corners[1], 1, "end", 28, 10),
      label(this.corners[2], 2, "middle", -16),
    );
    const worst = app.worst();
    if (worst && worst.every((x, i) => this.slice.includes(i) || Math.abs(x - outside[i]) < 1e-9)) {
      const [x, y] = this.xy(this.slice.map((i) => worst[i] / mass));
      picture.append(svg("path", { d: "M-8,-8 L8,8 M-8,8 L8,-8", transform: `translate(${x},${y})`, class: "worst-halo" }));
      picture.append(svg("path", { d: "M-8,-8 L8,8 M-8,8 L8,-8", transform: `translate(${x},${y})`, class: "worst", id: "worst-mark" }, svg("title", {}, "worst weight")));
    }
    this.handle = svg(
      "g",
      { tabindex: 0, class: "handle", id: "handle", role: "application", "aria-roledescription": "point in the triangle of weights", onkeydown: (event) => this.key(event) },
      svg("circle", { r: 22, class: "touch" }),
      svg("circle", { r: 11, class: "ring-outer" }),
      svg("circle", { r: 7, class: "ring" }),
    );
    const hit = svg("polygon", { points: path(vertices(3)), class: "hit", id: "hit" });
    picture.append(hit, this.handle);
    dragged(picture, [hit, this.handle], (event) => {
      const box = picture.getBoundingClientRect();
      app.state.setWeights(this.weightsAt(this.point(event.clientX - box.left, event.clientY - box.top)));
    }, () => byId("handle")?.focus());
    refocused(this.root, picture, "handle");
    this.place();
  }

  place() {
    if (!this.handle) return;
    const { app } = this;
    const w = app.state.weights;
    const mass = this.mass();
    const [x, y] = this.xy(this.slice.map((i) => w[i] / mass));
    this.handle.setAttribute("transform", `translate(${x},${y})`);
    const parts = this.slice.map((i) => `${app.data.objectives[i]} ${percent(w[i])}`);
    this.handle.setAttribute("aria-label", `Weights: ${parts.join(", ")}. ${app.name(app.serving().index)} serves. ${this.hint}`);
  }

  key(event) {
    const { state } = this.app;
    const step = stepOf(event);
    const w = state.weights;
    const [a, b, c] = this.slice;
    const either = (first, second) => (w[first] > 0 ? [first] : [second]);
    if (event.key === "ArrowRight") state.setWeights(moved(w, either(a, c), [b], step));
    else if (event.key === "ArrowLeft") state.setWeights(moved(w, either(b, c), [a], step));
    else if (event.key === "ArrowUp") state.setWeights(moved(w, [a, b], [c], step));
    else if (event.key === "ArrowDown") state.setWeights(moved(w, [c], [a, b], step));
    else if (["1", "2", "3"].includes(event.key)) state.setWeights(this.weightsAt(vertices(3)[Number(event.key) - 1]));
    else if (!this.app.jump(event.key)) return;
    event.preventDefault();
  }

  // The regret over the triangle in small triangles, dark where it is large.
  heatMap(path) {
    const { app } = this;
    const group = svg("g", { class: "heat" });
    const n = HEAT_ROWS;
    const found = [];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n - i; j++) {
        const at = (p, q) => [1 - (p + q) / n, p / n, q / n];
        found.push([at(i, j), at(i + 1, j), at(i, j + 1)]);
        if (i + j < n - 1) found.push([at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)]);
      }
    }
    const regrets = found.map((corners) => app.regret(this.weightsAt(centroid(corners))).high);
    const finite = regrets.filter(Number.isFinite);
    const most = Math.max(...finite, 0);
    found.forEach((corners, i) => {
      const depth = Number.isFinite(regrets[i]) && most > 0 ? regrets[i] / most : 0;
      group.append(svg("polygon", { points: path(corners), class: "heat-cell", "fill-opacity": (0.04 + 0.9 * depth).toFixed(3) }));
    });
    byId("heat-scale").textContent = finite.length
      ? `white: no regret; dark: up to ${number(most)} seen at the ${found.length} points drawn (sampled)`
      : "nothing is known of the regret";
    return group;
  }
}
