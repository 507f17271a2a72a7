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

// What a rule does with the probes: a row for each history.
function observe(rule, α) {
  const k = { ...rule.terms, ...rule.settings, α };
  const histories = probes.gradients.map((gradients, i) => {
    const memory = { ...rule.memory };
    const [thetas, moves] = [[], []];
    let theta = probes.starts[i];
    gradients.forEach((g, n) => {
      thetas.push(theta);
      moves.push(rule.step(g, memory, n + 1, k, theta));
      theta += moves[n];
    });
    const size = Math.max(...moves.map(Math.abs));
    return { gradients, thetas, moves, size };
  });
  const largest = Math.max(...histories.map(({ size }) => size).filter(Number.isFinite));
  for (const one of histories) one.weight = 1 / (one.size || 1e-9 * largest);
  return histories;
}

// A few histories and steps, which rule out most candidates.
function glimpse(record) {
  const steps = 12;
  const short = (row) => row.slice(0, steps);
  return record
    .filter((_, i) => [0, 6, 13, 14, 18, 21, 25, 26, 30, 41, 42, 43, 46].includes(i))
    .map((one) => ({ ...one, gradients: short(one.gradients), thetas: short(one.thetas), moves: short(one.moves) }));
}

// The weighted discrepancies, with the best α and αλ.
function residuals(candidate, z, record) {
  const k = { ...candidate.terms, α: 1 };
  candidate.letters.forEach((letter, i) => (k[letter] = fromSearch(letter, z[i])));
  const step = candidate.terms.late ? stepLate : equations[candidate.equation];
  const seen = record.filter(({ size }) => Number.isFinite(size));
  const count = seen.reduce((sum, { moves }) => sum + moves.length, 0);
  const [d, y, p] = [0, 0, 0].map(() => new Float64Array(count));
  let at = 0;
  for (const { gradients, thetas, moves, weight } of seen) {
    const memory = {};
    for (let n = 0; n < moves.length; n++, at++) {
      d[at] = weight * step(gradients[n], memory, n + 1, k, thetas[n]);
      y[at] = weight * moves[n];
      p[at] = candidate.decoupled ? -weight * thetas[n] : 0;
    }
  }
  const [dd, dy] = [dot(d, d), dot(d, y)];
  let [α, decay] = [dd > 0 ? dy / dd : 0, 0];
  if (candidate.decoupled) {
    const [dp, pp, py] = [dot(d, p), dot(p, p), dot(p, y)];
    const determinant = dd * pp - dp * dp;
    if (determinant > 0) [α, decay] = [(dy * pp - dp * py) / determinant, (dd * py - dp * dy) / determinant];
  }
  const r = y.map((value, i) => value - α * d[i] - decay * p[i]);
  const cost = dot(r, r);
  return { r, α, decay, cost: Number.isFinite(cost) ? cost : Infinity };
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

// Adam with a counter that is one ahead: the first step counts as 2.
function stepLate(g, memory, t, k, theta) {
  if (t === 1) Object.assign(memory, { m: 0, v: 0 });
  return equations.adam(g, memory, t + 1, k, theta);
}

function guesses(letters) {
  return letters.reduce((all, letter) => all.flatMap((z) => GUESSES[SPANS[letter]].map((x) => [...z, toSearch(letter, x)])), [[]]);
}

// Levenberg and Marquardt's method from the best guesses, first on a glimpse of the record and, where
// that is explained, on all of it; { values, α, decay, misfit }. Signs do not change by degrees: their
// letters are found only among the guesses.
function fit(candidate, record) {
  const part = candidate.equation === "lion" ? record : glimpse(record);
  const ends = guesses(candidate.letters)
    .map((z) => [residuals(candidate, z, part).cost, z])
    .sort((a, b) => a[0] - b[0])
    .slice(0, 2)
    .map(([, z]) => descend(candidate, z, part));
  const early = ends.reduce((a, b) => (b.at.cost < a.at.cost ? b : a));
  const best = early.at.cost < 1e-4 ? descend(candidate, early.z, record) : early;
  const values = Object.fromEntries(candidate.letters.map((letter, i) => [letter, fromSearch(letter, best.z[i])]));
  const misfit = best.at.cost === Infinity ? Infinity : best.at.r.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return { candidate, values, α: best.at.α, decay: best.at.decay, misfit };
}

function descend(candidate, z, record) {
  let at = residuals(candidate, z, record);
  let damping = 1e-3;
  for (let round = 0; z.length && round < 40 && at.cost > 1e-20 && damping < 1e6; round++) {
    const h = 1e-6;
    const slopes = z.map((_, i) => {
      const moved = z.map((x, j) => (i === j ? x + h : x));
      return residuals(candidate, moved, record).r.map((x, n) => (x - at.r[n]) / h);
    });
    const damped = slopes.map((a, i) => slopes.map((b, j) => dot(a, b) * (i === j ? 1 + damping : 1)));
    const down = slopes.map((a) => -dot(a, at.r));
    damped.forEach((row, i) => (row[i] += 1e-30));
    const next = solve(damped, down).map((step, i) => z[i] + Math.max(-2, Math.min(2, step)));
    const there = residuals(candidate, next, record);
    if (there.cost < at.cost) {
      const gain = 1 - there.cost / at.cost;
      [z, at, damping] = [next, there, damping / 5];
      if (gain < 1e-4) break;
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
