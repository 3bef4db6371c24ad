// The page's state: weights, locks, K. Views subscribe and redraw.

class State {
  constructor(objectives, sizes) {
    this.d = objectives;
    this.sizes = sizes;
    this.weights = Array(objectives).fill(1 / objectives);
    this.locks = Array(objectives).fill(false);
    this.size = sizes;
    this.slice = [0, 1, 2];
    this.listeners = [];
  }

  subscribe(listener) {
    this.listeners.push(listener);
  }

  changed(what) {
    for (const listener of this.listeners) listener(what);
  }

  // Any point of the simplex. Anything else is refused.
  setWeights(w) {
    const numbers = w.map(Number);
    const total = numbers.reduce((a, b) => a + b, 0);
    const valid = numbers.length === this.d && numbers.every((x) => Number.isFinite(x) && x >= 0);
    if (!valid || Math.abs(total - 1) > 1e-6) return false;
    this.weights = numbers;
    this.changed("weights");
    return true;
  }

  setSize(size) {
    const wanted = Math.min(this.sizes, Math.max(1, Math.round(size)));
    if (!Number.isFinite(wanted) || wanted === this.size) return;
    this.size = wanted;
    this.changed("size");
  }

  setSlice(slice) {
    this.slice = slice;
    this.changed("slice");
  }

  toggleLock(i) {
    this.locks[i] = !this.locks[i];
    this.changed("locks");
  }

  // The most weight i may take while the other locked ones keep theirs.
  room(i) {
    return Math.max(0, 1 - this.weights.reduce((t, x, j) => (j !== i && this.locks[j] ? t + x : t), 0));
  }

  others(i) {
    return [...this.weights.keys()].filter((j) => j !== i && !this.locks[j]);
  }

  canMove(i) {
    return !this.locks[i] && this.others(i).length > 0;
  }

  // One weight is set; the free others share what is left in the proportions they have.
  setWeight(i, x) {
    if (!this.canMove(i) || !Number.isFinite(x)) return;
    const free = this.others(i);
    const room = this.room(i);
    const own = Math.min(room, Math.max(0, x));
    const before = free.reduce((t, j) => t + this.weights[j], 0);
    const w = [...this.weights];
    w[i] = own;
    for (const j of free) w[j] = (room - own) * (before > 0 ? this.weights[j] / before : 1 / free.length);
    this.weights = w;
    this.changed("weights");
  }
}

// Moves `amount` of weight to the entries `to` from the entries `from`, evenly, as far as there is any.
function moved(w, from, to, amount) {
  const result = [...w];
  let left = Math.min(amount, from.reduce((t, i) => t + w[i], 0));
  const taken = left;
  const sources = from.filter((i) => w[i] > 0).sort((i, j) => w[i] - w[j]);
  sources.forEach((i, n) => {
    const part = Math.min(result[i], left / (sources.length - n));
    result[i] -= part;
    left -= part;
  });
  for (const i of to) result[i] += taken / to.length;
  return result;
}

// The nearest point with entries >= 0 and the given sum (Euclidean projection).
function projected(point, sum = 1) {
  const sorted = [...point].sort((a, b) => b - a);
  let total = 0;
  let shift = 0;
  sorted.forEach((x, i) => {
    total += x;
    const candidate = (total - sum) / (i + 1);
    if (x - candidate > 0) shift = candidate;
  });
  return point.map((x) => Math.max(0, x - shift));
}
