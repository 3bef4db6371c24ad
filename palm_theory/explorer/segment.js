// d = 2: the value of every policy along the segment, what is known of J*, and whose cell is where.

const SAMPLES = 120;

class Segment {
  constructor(app) {
    this.app = app;
    this.root = byId("picture");
    this.hint = "Arrow keys move the weights, with Shift in large steps, with Alt in small ones; Home: equal weights; End: the worst weight.";
    onWidth(this.root, (width) => this.draw(width));
    app.state.subscribe((what) => {
      if (what === "size") this.draw();
      else if (what === "weights") this.place();
    });
  }

  // Position 0..1 is the weight of the second objective.
  x(t) {
    return this.left + t * this.span;
  }

  y(value) {
    return this.top + ((this.high - value) / (this.high - this.low)) * this.plot;
  }

  draw(width = this.width) {
    if (!width) return;
    this.width = width;
    const { app } = this;
    const reference = app.references[0];
    const members = app.members();
    [this.left, this.top, this.span] = [46, 14, width - 60];
    this.plot = Math.min(300, Math.max(180, width * 0.42));
    const strip = this.top + this.plot + 12;
    const height = strip + 92;
    const points = Array.from({ length: SAMPLES + 1 }, (_, i) => [1 - i / SAMPLES, i / SAMPLES]);
    const upper = points.map((w) => reference.bracket(w)[1]);
    const envelope = points.map((w) => best(app.rows, members, w).value);
    const known = upper.filter(Number.isFinite);
    this.high = Math.max(...envelope, ...known);
    this.low = Math.min(...envelope);
    // Lines that never serve may run far below; the picture keeps to what matters.
    this.low -= 0.25 * (this.high - this.low || 1);
    this.high += 0.04 * (this.high - this.low);
    const line = (values) => values.map((v, i) => `${i ? "L" : "M"}${this.x(points[i][1])},${this.y(v)}`).join("");
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "drawing" });
    const frame = { x: this.left, y: this.top, width: this.span, height: this.plot };
    picture.append(svg("clipPath", { id: "plot-area" }, svg("rect", frame)), svg("rect", { ...frame, class: "plot" }));
    for (const value of ticks(this.low, this.high)) {
      picture.append(
        svg("line", { x1: this.left, x2: this.left + this.span, y1: this.y(value), y2: this.y(value), class: "grid" }),
        svg("text", { x: this.left - 5, y: this.y(value) + 4, class: "tick", "text-anchor": "end" }, number(value)),
      );
    }
    const lines = svg("g", { "clip-path": "url(#plot-area)" });
    for (const k of members) lines.append(svg("path", { d: line(points.map((w) => scalarize(app.rows[k], w))), class: "policy-line" }));
    if (known.length === upper.length) lines.append(svg("path", { d: line(upper), class: "optimum-line" }));
    lines.append(svg("path", { d: line(envelope), class: "envelope-line" }));
    picture.append(lines);
    this.cells = cells(app.rows, members);
    for (const { index, corners } of this.cells) {
      const [a, b] = [this.x(corners[0][1]), this.x(corners[1][1])].sort((p, q) => p - q);
      const cell = svg("rect", { x: a, y: strip, width: b - a, height: 34, fill: fill(index), class: "cell" });
      cell.append(svg("title", {}, app.name(index)));
      picture.append(cell);
      if (b - a > 30) picture.append(svg("text", { x: (a + b) / 2, y: strip + 22, class: "cell-name" }, app.policies[index].name));
    }
    const letters = Math.floor(width / 2 / 8);
    const label = (t, name, anchor) =>
      svg("text", { x: this.x(t), y: strip + 58, class: "vertex", "text-anchor": anchor }, cut(name, letters), svg("title", {}, name));
    picture.append(label(0, `all ${app.data.objectives[0]}`, "start"), label(1, `all ${app.data.objectives[1]}`, "end"));
    const worst = app.worst();
    if (worst) {
      const at = this.x(worst[1]);
      const anchor = worst[1] > 0.5 ? "end" : "start";
      picture.append(
        svg("line", { x1: at, x2: at, y1: this.top, y2: strip, class: "worst-line" }),
        svg("text", { x: at + (worst[1] > 0.5 ? -5 : 5), y: this.top + 14, class: "worst-name", "text-anchor": anchor }, "worst weight"),
      );
    }
    this.cursor = svg("line", { y1: this.top, y2: strip + 34, class: "cursor" });
    this.handle = svg(
      "g",
      { tabindex: 0, class: "handle", role: "slider", id: "handle", "aria-label": `Weights of ${app.data.objectives.join(" and ")}. ${this.hint}`,
        "aria-valuemin": 0, "aria-valuemax": 1, onkeydown: (event) => this.key(event) },
      svg("circle", { r: 22, class: "touch" }),
      svg("circle", { r: 11, class: "ring-outer" }),
      svg("circle", { r: 7, class: "ring" }),
    );
    this.strip = strip;
    const hit = svg("rect", { x: this.left - 10, y: this.top, width: this.span + 20, height: height - this.top - 30, class: "hit" });
    picture.append(this.cursor, hit, this.handle);
    const move = (event) => {
      const box = picture.getBoundingClientRect();
      const t = Math.min(1, Math.max(0, (event.clientX - box.left - this.left) / this.span));
      app.state.setWeights([1 - t, t]);
    };
    dragged(picture, [hit, this.handle], move, () => this.handle.focus());
    refocused(this.root, picture, "handle");
    this.place();
  }

  place() {
    if (!this.handle) return;
    const { app } = this;
    const [w0, t] = app.state.weights;
    this.handle.setAttribute("transform", `translate(${this.x(t)},${this.strip + 17})`);
    for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(t));
    this.handle.setAttribute("aria-valuenow", t.toFixed(3));
    const [a, b] = app.data.objectives;
    this.handle.setAttribute("aria-valuetext", `${a} ${percent(w0)}, ${b} ${percent(t)}: ${app.name(app.serving().index)} serves`);
  }

  key(event) {
    const step = stepOf(event);
    const { state } = this.app;
    const w = state.weights;
    if (event.key === "ArrowRight" || event.key === "ArrowUp") state.setWeights(moved(w, [0], [1], step));
    else if (event.key === "ArrowLeft" || event.key === "ArrowDown") state.setWeights(moved(w, [1], [0], step));
    else if (!this.app.jump(event.key)) return;
    event.preventDefault();
  }
}

const stepOf = (event) => (event.shiftKey ? 0.1 : event.altKey ? 0.001 : 0.01);

// Three to six round numbers between low and high.
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// Calls move(event) from pointer down on any of `targets` until the pointer is up, wherever it goes.
function dragged(picture, targets, move, begun) {
  for (const target of targets) {
    target.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      picture.setPointerCapture(event.pointerId);
      const stop = () => {
        picture.removeEventListener("pointermove", move);
        picture.removeEventListener("pointerup", stop);
        picture.removeEventListener("pointercancel", stop);
      };
      picture.addEventListener("pointermove", move);
      picture.addEventListener("pointerup", stop);
      picture.addEventListener("pointercancel", stop);
      move(event);
      begun();
    });
  }
}

// Puts a new picture in place of the old one; what had the focus by its id has it again.
function refocused(root, picture, id) {
  const had = document.activeElement?.id === id;
  root.replaceChildren(picture);
  if (had) byId(id).focus({ preventScroll: true });
}
