// The geometry of Theorem 3, as in palm_theory.geometry.envelope: values, who serves, cells, corner weights.
// A policy is its vertex values G = R - f; J_w = <w, G>, summed over objectives in order, as Python does it.

const ROUNDING = 1e-12;

function scalarize(values, w) {
  let total = w[0] * values[0];
  for (let i = 1; i < w.length; i++) total += w[i] * values[i];
  return total;
}

// The best of some rows at w: ties to the lowest index. `members` are indices into `rows`, increasing.
function best(rows, members, w) {
  let index = members[0];
  let value = scalarize(rows[index], w);
  for (let i = 1; i < members.length; i++) {
    const other = scalarize(rows[members[i]], w);
    if (other > value) {
      value = other;
      index = members[i];
    }
  }
  return { index, value };
}

// How far two values at w may lie apart and still count as equal.
function rounding(rows, w) {
  let most = 0;
  for (const row of rows) most = Math.max(most, scalarize(row.map(Math.abs), w));
  return ROUNDING * most;
}

// The part of a convex polygon (a list of points) where the linear function `value` is >= 0.
function clip(polygon, value) {
  const kept = [];
  const count = polygon.length;
  for (let i = 0; i < count; i++) {
    const [p, q] = [polygon[i], polygon[(i + 1) % count]];
    const [a, b] = [value(p), value(q)];
    if (a >= 0) kept.push(p);
    if ((a > 0 && b < 0) || (a < 0 && b > 0)) {
      const t = a / (a - b);
      kept.push(p.map((x, j) => x + t * (q[j] - x)));
    }
  }
  return kept;
}

const vertices = (d) => Array.from({ length: d }, (_, i) => Array.from({ length: d }, (_, j) => (i === j ? 1 : 0)));

// Barycentric area, the whole triangle being 1; length, for a segment.
function measure(cell) {
  if (cell.length < 2) return 0;
  if (cell[0].length === 2) return Math.abs(cell[0][0] - cell[1][0]);
  let area = 0;
  for (let i = 1; i + 1 < cell.length; i++) {
    const [[a, b, c], [d, e, f], [g, h, k]] = [cell[0], cell[i], cell[i + 1]];
    area += a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g);
  }
  return Math.abs(area);
}

function centroid(cell) {
  if (cell[0].length === 2) return cell[0].map((x, i) => (x + cell[1][i]) / 2);
  const total = measure(cell);
  const sum = [0, 0, 0];
  for (let i = 1; i + 1 < cell.length; i++) {
    const part = [cell[0], cell[i], cell[i + 1]];
    const share = measure(part) / total;
    for (let j = 0; j < 3; j++) sum[j] += (share * (part[0][j] + part[1][j] + part[2][j])) / 3;
  }
  return sum;
}

// The cell of every member: [{index, corners, share}], for d = 2 or 3. Cells without area are left out.
function cells(rows, members) {
  const d = rows[0].length;
  const found = [];
  for (const k of members) {
    let cell = vertices(d);
    for (const j of members) {
      if (j === k || cell.length < d) continue;
      const difference = rows[k].map((x, i) => x - rows[j][i]);
      // Of equal policies the first serves.
      if (j < k && difference.every((x) => x === 0)) cell = [];
      else if (d === 3) cell = clip(cell, (p) => scalarize(difference, p));
      else cell = clipSegment(cell, difference);
    }
    const share = measure(cell);
    if (cell.length >= d && share > ROUNDING) found.push({ index: k, corners: cell, share });
  }
  return found;
}

function clipSegment([p, q], difference) {
  const [a, b] = [scalarize(difference, p), scalarize(difference, q)];
  if (a < 0 && b < 0) return [];
  if (a >= 0 && b >= 0) return [p, q];
  const t = a / (a - b);
  const middle = p.map((x, j) => x + t * (q[j] - x));
  return a >= 0 ? [p, middle] : [middle, q];
}

// The corner weights of a list of cells: the simplex's vertices and those of the cells, each once.
function cornerWeights(found, d) {
  const corners = vertices(d);
  for (const cell of found) {
    for (const p of cell.corners) {
      if (!corners.some((q) => q.every((x, i) => Math.abs(x - p[i]) < 1e-9))) corners.push(p);
    }
  }
  return corners;
}

// Weights uniform on the simplex, the same in every session.
function sampleWeights(d, count) {
  let state = 0x9e3779b9;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Array.from({ length: count }, () => {
    const row = Array.from({ length: d }, () => -Math.log(1 - random()));
    const total = row.reduce((a, b) => a + b, 0);
    return row.map((x) => x / total);
  });
}
