// One fill for every policy: eight colours times nine patterns, so that no two of 72 look alike, in grey either.

const COLOURS = 8;
const PATTERNS = [
  [],
  ["M0,10 L10,0 M-2,2 L2,-2 M8,12 L12,8"],
  ["M0,0 L10,10 M-2,8 L2,12 M8,-2 L12,2"],
  ["M0,5 H10"],
  ["M5,0 V10"],
  ["M5,0 V10 M0,5 H10"],
  ["M0,10 L10,0 M0,0 L10,10"],
  ["dot"],
  ["ring"],
];

const fill = (k) => `url(#fill-${k})`;

function definePatterns(count) {
  const defs = svg("defs");
  for (let k = 0; k < count; k++) {
    const background = svg("rect", { width: 10, height: 10, class: `colour-${k % COLOURS}` });
    const [shape] = PATTERNS[k % PATTERNS.length];
    let mark = null;
    if (shape === "dot") mark = svg("circle", { cx: 5, cy: 5, r: 1.7, class: "dot" });
    else if (shape === "ring") mark = svg("circle", { cx: 5, cy: 5, r: 2.6, class: "hatch" });
    else if (shape) mark = svg("path", { d: shape, class: "hatch" });
    const attributes = { id: `fill-${k}`, width: 10, height: 10, patternUnits: "userSpaceOnUse" };
    defs.append(svg("pattern", attributes, background, mark));
  }
  document.body.append(svg("svg", { width: 0, height: 0, class: "patterns", "aria-hidden": "true" }, defs));
}

const swatch = (k) =>
  svg(
    "svg",
    { class: "swatch", width: 22, height: 22, "aria-hidden": "true" },
    svg("rect", { width: 22, height: 22, rx: 3, fill: fill(k), class: "cell" }),
  );
