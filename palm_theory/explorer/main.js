// Wires the page together.

const USERS = 10000;

class App {
  constructor(data) {
    this.data = data;
    this.policies = data.policies;
    this.rows = data.policies.map((policy) => policy.values);
    this.references = data.references.map((reference) => new Reference(reference, this.rows));
    this.state = new State(data.objectives.length, data.subsets.length);
    this.known = new Map();
    this.fromAddress();
  }

  name(k) {
    const { name, label } = this.policies[k];
    return label ? `${name} ${label}` : name;
  }

  members() {
    return this.data.subsets[this.state.size - 1].members;
  }

  // The policy of the current subset that serves w, and its value.
  serving(w = this.state.weights) {
    return best(this.rows, this.members(), w);
  }

  runnerUp() {
    const { index } = this.serving();
    const others = this.members().filter((k) => k !== index);
    return others.length ? best(this.rows, others, this.state.weights) : null;
  }

  regret(w = this.state.weights) {
    return this.references[0].regret(w, this.serving(w).index, this.state.size);
  }

  // The worst weight, or null where none is known or none is worse than another.
  worst() {
    const { worst_weight: worst, epsilon, delta, additive_gap: gap } = this.references[0].certificates[this.state.size - 1];
    return gap === 0 || (epsilon === 0 && delta === 0) ? null : worst;
  }

  // The share of users that each policy serves: areas for d <= 3, counts beyond.
  shares() {
    if (!this.known.has(this.state.size)) this.known.set(this.state.size, this.countShares());
    return this.known.get(this.state.size);
  }

  countShares() {
    const { d } = this.state;
    const shares = this.rows.map(() => 0);
    const centres = new Map();
    if (d === 1) {
      shares[this.serving([1]).index] = 1;
      return { shares, centres, exact: true };
    }
    if (d <= 3) {
      for (const { index, corners, share } of cells(this.rows, this.members())) {
        shares[index] = share;
        centres.set(index, centroid(corners));
      }
      return { shares, centres, exact: true };
    }
    this.users ??= sampleWeights(d, USERS);
    for (const w of this.users) {
      const { index } = this.serving(w);
      shares[index] += 1;
      const sum = centres.get(index) ?? Array(d).fill(0);
      centres.set(index, sum.map((x, i) => x + w[i]));
    }
    for (const [index, sum] of centres) centres.set(index, sum.map((x) => x / shares[index]));
    return { shares: shares.map((n) => n / USERS), centres, exact: false };
  }

  // Go where a policy serves: the middle of its cell, or else the weights it was solved for.
  visit(k) {
    const centre = this.shares().centres.get(k) ?? this.policies[k].weights;
    if (centre) {
      const total = centre.reduce((a, b) => a + b, 0);
      this.state.setWeights(centre.map((x) => Math.max(0, x) / total));
    }
  }

  // Home: equal weights. End: the worst weight.
  jump(key) {
    const { d } = this.state;
    const worst = this.worst();
    if (key === "Home") this.state.setWeights(Array(d).fill(1 / d));
    else if (key === "End" && worst) this.state.setWeights(worst);
    else return false;
    return true;
  }

  // #w=0.2,0.3,0.5&k=4 in the address: a page can be shared as it stands.
  fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    if (given.has("k")) this.state.setSize(Number(given.get("k")));
    if (given.has("w")) this.state.setWeights(given.get("w").split(",").map(Number));
  }

  toAddress() {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      const { weights, size } = this.state;
      history.replaceState(null, "", `#w=${weights.join(",")}&k=${size}`);
    }, 300);
  }
}

// The stored certificate in words.
function claim(certificate) {
  const { epsilon, delta, additive_gap: gap, confidence, interval, reference, size } = certificate;
  const sure = confidence < 1 ? `, with confidence ${percent(confidence)} (${interval} intervals${interval === "normal" ? ", an approximation" : ""})` : "";
  const against = `${certificate.optimum ? "J*, " : ""}the best of ${reference.replace(/^the best of /, "")}`;
  const short = delta > 0 ? ` less ${number(delta)}` : "";
  if (certificate.kind === "unknown") return ["Nothing is certified about this portfolio."];
  if (certificate.kind === "sampled") return [`At ${certificate.corners} sampled weights users got ${percent(1 - epsilon)} of ${against}${short}; elsewhere nothing is claimed.`];
  if (epsilon === null) return [`Certified for all ${size} policies together: whatever their weights, users get ${against}, but for at most δ = ${number(gap)}${sure}.`];
  return [`Certified for all ${size} policies together: whatever their weights, users get at least `, el("strong", {}, percent(1 - epsilon)), ` of ${against}${short}${sure}.`];
}

// What a screen reader is told, once the weights have come to rest.
function announce(app) {
  const { index } = app.serving();
  const regret = app.regret();
  const loss = regret.kind === "unknown" ? "regret unknown" : `regret ${regret.kind === "exact" ? "exactly" : "at most"} ${number(regret.high)}`;
  const weights = app.data.objectives.map((name, i) => `${name} ${percent(app.state.weights[i])}`);
  byId("live").textContent = `${weights.join(", ")}: ${app.name(index)} serves, ${loss}.`;
}

function command(app) {
  const quoted = (text) => (/^[\w./=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  return `palm select ${quoted(app.data.command)} --weights ${app.state.weights.join(",")}`;
}

function start() {
  const data = JSON.parse(byId("data").textContent);
  definePatterns(data.policies.length);
  const app = new App(data);
  byId("title").textContent = data.title;
  byId("objectives").textContent = data.objectives.join(" · ");
  byId("certificate").replaceChildren(badge(data.certificate.kind), " ", ...claim(data.certificate));
  if (data.references.at(-1).itself) {
    byId("caution").hidden = false;
    byId("caution").textContent = data.references.length > 1
      ? data.references[0].optimum
        ? "This page has no access to the backend. What is known of J* is the stored certificate; beyond it, policies are compared with the best of this portfolio itself. The cross is the certificate's worst weight or, for fewer policies, where they trail the whole portfolio most."
        : `This page has no access to the backend, and nothing is known of J*. The certificate compares the policies with ${data.references[0].text} only; policies outside may be better. The cross is the certificate's worst weight or, for fewer policies, where they trail the whole portfolio most.`
      : "This page has no access to the backend and the certificate proves nothing for certain about J*. Regret and gaps are against the best policy of this portfolio itself: policies outside it may be better.";
  }
  const solves = data.solves ? ` out of ${data.solves} solves` : "";
  byId("made").textContent = `${data.policies.length} policies${solves}; page made by palm_theory ${data.version}.`;
  if (data.estimates) byId("estimates").hidden = false;
  const { state } = app;
  if (state.d === 2) new Segment(app);
  else if (state.d > 2) {
    const triangle = new Triangle(app);
    byId("map").hidden = false;
    for (const kind of ["policies", "regret"]) {
      byId(`map-${kind}`).addEventListener("change", () => {
        triangle.heat = byId("map-regret").checked;
        byId("heat-scale").textContent = "";
        triangle.draw();
      });
    }
  } else byId("picture").replaceChildren(el("p", { class: "empty" }, "One objective: there is only one weight, and one policy serves everybody."));
  new Controls(app);
  new Serving(app);
  new Sizes(app);
  new Table(app);
  new Answers(app);
  let telling;
  const tell = () => {
    byId("command").value = command(app);
    app.toAddress();
    clearTimeout(telling);
    telling = setTimeout(() => announce(app), 200);
  };
  state.subscribe(tell);
  tell();
  byId("command").addEventListener("focus", (event) => event.target.select());
  window.addEventListener("hashchange", () => app.fromAddress());
  // For the console: explorer.state.setWeights([...]), explorer.serving(), explorer.regret().
  window.explorer = app;
  document.documentElement.dataset.ready = "true";
}

start();
