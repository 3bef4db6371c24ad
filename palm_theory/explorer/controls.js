// One slider an objective, with its number and its lock; the slice of d > 3; jumps.

class Controls {
  constructor(app) {
    this.app = app;
    const { state, data } = app;
    this.rows = data.objectives.map((name, i) => this.row(name, i));
    byId("sliders").append(...this.rows.map((row) => row.element));
    byId("equal").addEventListener("click", () => app.jump("Home"));
    byId("worst").addEventListener("click", () => app.jump("End"));
    if (state.d > 3) this.slices();
    if (state.d < 2) byId("sliders").hidden = true;
    state.subscribe(() => this.draw());
    this.draw();
  }

  row(name, i) {
    const { state } = this.app;
    const range = el("input", { type: "range", min: 0, max: 1, step: 0.001, id: `weight-${i}`, "aria-label": `weight of ${name}`,
      oninput: (event) => state.setWeight(i, Number(event.target.value)) });
    const exact = el("input", { type: "number", min: 0, max: 1, step: 0.01, id: `exact-${i}`, "aria-label": `weight of ${name}, as a number`,
      onchange: ({ target }) => { if (target.value !== "") state.setWeight(i, Number(target.value)); this.draw(); } });
    const lock = el("button", { type: "button", class: "lock", id: `lock-${i}`, "aria-pressed": "false", "aria-label": `keep the weight of ${name} while other sliders move`, title: "keep this weight while other sliders move", onclick: () => state.toggleLock(i) });
    const element = el("div", { class: "weight" }, el("label", { for: `weight-${i}`, title: name }, name), range, exact, lock);
    return { element, range, exact, lock };
  }

  slices() {
    const { state, data } = this.app;
    const place = byId("slice");
    place.hidden = false;
    const selects = [0, 1, 2].map((n) =>
      el("select", { id: `slice-${n}`, "aria-label": `corner ${n + 1} of the slice`, onchange: (event) => {
        const slice = [...state.slice];
        const chosen = Number(event.target.value);
        const twin = slice.indexOf(chosen);
        if (twin >= 0) slice[twin] = slice[n];
        slice[n] = chosen;
        state.setSlice(slice);
      } }, ...data.objectives.map((name, i) => el("option", { value: i }, name))),
    );
    place.append(el("span", {}, "Slice through the current weights, between "), ...selects);
    this.selects = selects;
  }

  draw() {
    const { state } = this.app;
    this.rows.forEach(({ range, exact, lock }, i) => {
      const x = state.weights[i];
      range.value = x;
      range.setAttribute("aria-valuetext", percent(x));
      if (document.activeElement !== exact || Math.abs(Number(exact.value) - x) > 5e-5) exact.value = Number(x.toFixed(4));
      range.disabled = exact.disabled = !state.canMove(i);
      lock.setAttribute("aria-pressed", state.locks[i]);
      lock.textContent = state.locks[i] ? "locked" : "lock";
    });
    this.selects?.forEach((select, n) => (select.value = state.slice[n]));
    byId("worst").disabled = !this.app.worst();
  }
}
