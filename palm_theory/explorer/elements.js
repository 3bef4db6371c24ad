// Making elements and writing numbers. Text only ever goes in as text.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

function number(x) {
  if (x === null || x === undefined) return "–";
  if (!Number.isFinite(x)) return "∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-4 || size >= 1e6) return x.toExponential(2);
  return x.toPrecision(size >= 1000 ? 4 : 3);
}

function percent(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0%";
  const p = 100 * x;
  if (p < 0.001) return p.toExponential(1) + "%";
  return (p < 1 ? p.toPrecision(2) : p.toFixed(p < 10 ? 2 : 1)) + "%";
}

const fixed = (x) => x.toFixed(3);

// Text cut to what fits, with the whole of it as a tooltip.
function cut(text, length) {
  const letters = [...text];
  return letters.length <= length ? text : letters.slice(0, Math.max(1, length - 1)).join("") + "…";
}

const badge = (kind, text = kind) => el("span", { class: `badge ${kind}` }, text);

// Draws again whenever the element's width changes.
function onWidth(element, draw) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.floor(element.clientWidth);
    if (width > 0 && width !== last) {
      last = width;
      draw(width);
    }
  }).observe(element);
}
