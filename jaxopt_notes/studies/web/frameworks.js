// What the five frameworks mean by one name. `families` comes from the page: for each name and
// framework its equation, its terms there, its keywords for them, and how a call is written.

// The terms of a framework: its own, and the numbers set for all for which it has a keyword.
function termsOf(family, framework, numbers) {
  const { terms, letters } = families[family][framework];
  const chosen = { ...terms };
  for (const letter in numbers) if (letters.includes(letter)) chosen[letter] = numbers[letter];
  return chosen;
}

// A walker's path in parameters: α falls to a tenth at step `drop`, the gradient is scaled.
function race(equation, terms, landscape, { α, scale, drop, steps, start }) {
  const path = [start];
  const memory = start.map(() => ({}));
  for (let t = 1; t <= steps; t++) {
    const theta = path[t - 1];
    const gradient = landscape.gradient(theta, t - 1);
    const k = { ...terms, α: (terms.rate ?? 1) * (drop && t >= drop ? α / 10 : α) };
    path.push(theta.map((x, i) => x + equations[equation](scale * gradient[i], memory[i], t, k, x)));
  }
  return path;
}

// The terms whose values matter: where there is no ε it has no place, and while α is constant it
// does not matter whether α is inside or outside the velocity. Sum and average differ by a factor.
function telling(terms, drop) {
  const rest = { ...terms };
  delete rest.still;
  delete rest.average;
  if (!rest.ε) delete rest.inside;
  if (!drop || !(rest.μ || rest.β)) delete rest.rate_inside;
  for (const term in rest) if (!rest[term]) delete rest[term];
  return rest;
}

function sameTerms(a, b) {
  return Object.keys({ ...a, ...b }).every((term) => a[term] === b[term]);
}

// The call that makes one framework walk as another one does: by its own keywords where they reach
// that far, by another learning rate where sum and average differ, else by this package's
// convention of the other. Returns the line, whether it is the framework's own, and its terms.
function agreement(family, framework, followed, numbers, { α, drop }) {
  const goal = termsOf(family, followed, numbers);
  const from = families[family][framework];
  const rate = rateFactor(from.terms, goal);
  for (const way of from.ways) {
    const line = written(way, from.terms, goal, α * rate, drop);
    if (line) return { line, own: way.own, terms: { ...goal, average: from.terms.average, rate } };
  }
  const other = families[family][followed];
  const line = written(other.ways[other.ways.length - 1], other.terms, goal, α, drop);
  return { line, own: false, terms: goal };
}

function rateFactor(from, goal) {
  if (!from.average === !goal.average) return 1;
  return goal.average ? 1 - goal.β : 1 / (1 - goal.β);
}

// The call with the keywords that lead from some terms to others; "" where none do.
function written(way, from, goal, α, drop) {
  const reached = { ...from };
  const words = [inPython(α)];
  for (const [keyword, letters] of Object.entries(way.keywords)) {
    const terms = letters.split(",");
    const needed = terms.some((term) => (term !== "inside" || goal.ε) && (from[term] || 0) !== (goal[term] || 0));
    if (!needed && !way.always.includes(keyword)) continue;
    for (const term of terms) reached[term] = goal[term] ?? 0;
    const values = terms.map((term) => inPython(goal[term] ?? 0));
    words.push(`${keyword}=${values.length > 1 ? `(${values.join(", ")})` : values[0]}`);
  }
  const arrived = sameTerms(telling(reached, drop), telling(goal, drop));
  return arrived ? `${way.call}${words.join(", ")})` : "";
}

function inPython(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(Number(value.toPrecision(6)));
}

// The formula with its numbers, as docs/optimizers-by-framework.md has it.
function formula(equation, k) {
  const under = (of) => {
    if (!k.ε) return `√${of}`;
    return k.inside ? `√(${of} + ${exactly(k.ε)})` : `(√${of} + ${exactly(k.ε)})`;
  };
  if (equation === "adagrad") return `θ ← θ − α g / ${under("G")}, G₀ = ${k.G0 || 0}`;
  if (equation === "adam") {
    const eps = exactly(k.ε);
    return k.hat
      ? `θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ${eps})`
      : `θ ← θ − α m̂ / (√v̂ + ${eps})`;
  }
  if (equation === "sgd") {
    if (k.average) return "v ← β v + (1 − β) g ; θ ← θ − α v";
    return k.rate_inside ? "v ← β v + α g ; θ ← θ − v" : "v ← β v + g ; θ ← θ − α v";
  }
  const first = `E₀ = ${k.E0 || 0}`;
  if (!k.μ) return `θ ← θ − α g / ${under("E")}, ${first}`;
  return k.rate_inside === false
    ? `v ← μ v + g / ${under("E")} ; θ ← θ − α v, ${first}`
    : `v ← μ v + α g / ${under("E")} ; θ ← θ − v, ${first}`;
}
