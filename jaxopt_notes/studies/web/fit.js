// Fits a candidate's letters to what a rule did. The learning rate, and that of decoupled decay,
// multiply all the rest: for any choice of the letters they follow from linear least squares.
const SPANS = {
  β: "share", β1: "share", β2: "share", μ: "share", dampening: "share",
  ε: "size", ε_root: "size", E0: "size", G0: "size", coupled: "size",
};
const GUESSES = { share: [0.5, 0.9, 0.99, 0.999], size: [1e-9, 1e-6, 1e-3, 0.3] };

// Searched for as a logit or a logarithm.
function toSearch(letter, value) {
  return SPANS[letter] === "share" ? Math.log(value / (1 - value)) : Math.log(value);
}

function fromSearch(letter, z) {
  return SPANS[letter] === "share" ? 1 / (1 + Math.exp(-z)) : Math.exp(Math.min(z, 30));
}

// What a rule does with the probes: { gradients, thetas, moves, weights }, a row for each history.
function observe(rule, α) {
  const k = { ...rule.terms, ...rule.settings, α };
  const record = { gradients: [], thetas: [], moves: [], weights: [] };
  probes.gradients.forEach((gradients, i) => {
    const memory = { ...rule.memory };
    const [thetas, moves] = [[], []];
    let theta = probes.starts[i];
    gradients.forEach((g, n) => {
      thetas.push(theta);
      moves.push(rule.step(g, memory, n + 1, k, theta));
      theta += moves[n];
    });
    record.gradients.push(gradients);
    record.thetas.push(thetas);
    record.moves.push(moves);
  });
  const sizes = record.moves.map((moves) => Math.max(...moves.map(Math.abs)));
  const largest = Math.max(...sizes.filter(Number.isFinite));
  record.weights = sizes.map((size) => (Number.isFinite(size) ? 1 / (size || 1e-9 * largest) : 0));
  return record;
}

// The weighted discrepancies, with the best α and αλ.
function residuals(candidate, z, record) {
  const k = { ...candidate.terms, α: 1 };
  candidate.letters.forEach((letter, i) => (k[letter] = fromSearch(letter, z[i])));
  const step = equations[candidate.equation];
  const late = candidate.terms.late ?? 0;
  const [d, y, p] = [[], [], []];
  record.gradients.forEach((gradients, i) => {
    const w = record.weights[i];
    if (!w) return;
    const memory = {};
    gradients.forEach((g, n) => {
      const u = late ? stepLate(step, g, memory, n + 1, k) : step(g, memory, n + 1, k, record.thetas[i][n]);
      d.push(w * u);
      y.push(w * record.moves[i][n]);
      p.push(candidate.decoupled ? -w * record.thetas[i][n] : 0);
    });
  });
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const [dd, dy] = [dot(d, d), dot(d, y)];
  let [α, decay] = [dd > 0 ? dy / dd : 0, 0];
  if (candidate.decoupled) {
    const [dp, pp, py] = [dot(d, p), dot(p, p), dot(p, y)];
    const determinant = dd * pp - dp * dp;
    if (determinant > 0) [α, decay] = [(dy * pp - dp * py) / determinant, (dd * py - dp * dy) / determinant];
  }
  const r = y.map((value, i) => value - α * d[i] - decay * p[i]);
  return { r, α, decay, cost: r.every(Number.isFinite) ? dot(r, r) : Infinity };
}

// Adam with a counter that is one ahead: the first step counts as 2.
function stepLate(step, g, memory, t, k) {
  if (t === 1) Object.assign(memory, { m: 0, v: 0 });
  return step(g, memory, t + 1, k, 0);
}

function guesses(letters) {
  return letters.reduce((all, letter) => all.flatMap((z) => GUESSES[SPANS[letter]].map((x) => [...z, toSearch(letter, x)])), [[]]);
}

// Levenberg and Marquardt's method from the best guesses; { values, α, decay, misfit }.
function fit(candidate, record) {
  const starts = guesses(candidate.letters)
    .map((z) => [residuals(candidate, z, record).cost, z])
    .sort((a, b) => a[0] - b[0])
    .slice(0, 2);
  const ends = starts.map(([, z]) => descend(candidate, z, record));
  const best = ends.reduce((a, b) => (b.at.cost < a.at.cost ? b : a));
  const values = Object.fromEntries(candidate.letters.map((letter, i) => [letter, fromSearch(letter, best.z[i])]));
  const misfit = best.at.cost === Infinity ? Infinity : Math.max(...best.at.r.map(Math.abs));
  return { candidate, values, α: best.at.α, decay: best.at.decay, misfit };
}

function descend(candidate, z, record) {
  let at = residuals(candidate, z, record);
  let damping = 1e-3;
  for (let round = 0; z.length && round < 60 && at.cost > 1e-20 && damping < 1e8; round++) {
    const h = 1e-6;
    const slopes = z.map((_, i) => {
      const near_ = residuals(candidate, z.map((x, j) => (i === j ? x + h : x)), record).r;
      return near_.map((x, n) => (x - at.r[n]) / h);
    });
    const normal = slopes.map((a) => slopes.map((b) => a.reduce((sum, x, n) => sum + x * b[n], 0)));
    const down = slopes.map((a) => -a.reduce((sum, x, n) => sum + x * at.r[n], 0));
    const damped = normal.map((row, i) => row.map((x, j) => (i === j ? x * (1 + damping) + 1e-30 : x)));
    const next = solve(damped, down).map((step, i) => z[i] + Math.max(-2, Math.min(2, step)));
    const there = residuals(candidate, next, record);
    if (there.cost < at.cost) {
      const gain = 1 - there.cost / at.cost;
      [z, at, damping] = [next, there, damping / 5];
      if (gain < 1e-6) break;
    } else {
      damping *= 10;
    }
  }
  return { z, at };
}

// Gauss's elimination, of three equations at most.
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  rows.forEach((_, i) => {
    const pivot = rows.slice(i).reduce((best, row, n) => (Math.abs(row[i]) > Math.abs(rows[best][i]) ? n + i : best), i);
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    rows.forEach((row, j) => {
      if (j !== i) rows[j] = row.map((x, n) => x - (row[i] / rows[i][i]) * rows[i][n]);
    });
  });
  return rows.map((row, i) => row[row.length - 1] / row[i]);
}
