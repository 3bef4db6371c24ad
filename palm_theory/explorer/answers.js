// Language models: one prompt, the recorded answer of every policy.

class Answers {
  constructor(app) {
    this.app = app;
    const { answers } = app.data;
    if (!answers) return;
    byId("answers").hidden = false;
    this.prompt = byId("prompt");
    this.prompt.append(...answers.prompts.map((text, n) => el("option", { value: n }, cut(text, 90))));
    this.prompt.addEventListener("change", () => this.draw());
    app.state.subscribe((what) => (what === "weights" || what === "size") && this.draw());
    this.draw();
  }

  draw() {
    const { app } = this;
    const { answers, policies } = app.data;
    const n = Number(this.prompt.value);
    const { index } = app.serving();
    byId("prompt-text").textContent = answers.prompts[n];
    const said = (text) => (text ? el("span", {}, text) : el("em", {}, "(empty)"));
    const rows = app.members().filter((k) => answers.replies[k]).map((k) =>
      el("div", { class: k === index ? "answer serves" : "answer" }, el("h4", {}, swatch(k), `${policies[k].name} ${policies[k].label}`, k === index ? el("strong", {}, " ← serves you") : null), el("p", {}, said(answers.replies[k][n]))));
    if (answers.base) rows.push(el("div", { class: "answer" }, el("h4", {}, "base model"), el("p", {}, said(answers.base[n]))));
    byId("answer-list").replaceChildren(...rows);
  }
}
