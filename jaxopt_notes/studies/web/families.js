// The equations that a rule may turn out to be. A candidate is an equation with its fixed terms and
// the letters that are to be found, from few to many: the smallest one that explains a rule names it.
function candidatesFor({ linear, decays }) {
  const plain = linear ? linearCandidates() : [...signCandidates(), ...adaptiveCandidates()];
  if (!decays) return plain;
  return plain.flatMap((candidate) => [
    { ...candidate, decoupled: true },
    { ...candidate, letters: [...candidate.letters, "coupled"] },
  ]);
}

function linearCandidates() {
  const of = (terms, letters) => ({ equation: "sgd", terms, letters });
  return [
    of({}, []),
    of({}, ["β"]),
    of({ average: true }, ["β"]),
    of({ average: true, debias: true }, ["β"]),
    of({ nesterov: true }, ["β"]),
    of({ nesterov: true, average: true }, ["β"]),
    of({}, ["β", "dampening"]),
  ];
}

function signCandidates() {
  return [
    { equation: "lion", terms: { β1: 0, β2: 0 }, letters: [] },
    { equation: "lion", terms: {}, letters: ["β1", "β2"] },
  ];
}

// Where ε stands: nowhere, inside the root, or outside it.
const PLACES = [
  [{}, []],
  [{ inside: true }, ["ε"]],
  [{}, ["ε"]],
];

function adaptiveCandidates() {
  const found = [];
  const add = (equation, terms, letters) => found.push({ equation, terms, letters });
  for (const [place, eps] of PLACES) add("adagrad", place, eps);
  add("adagrad", {}, ["G0"]);
  add("adagrad", {}, ["ε", "G0"]);
  for (const [place, eps] of PLACES) {
    for (const debias of [false, true]) {
      add("rmsprop", { ...place, debias }, ["β", ...eps]);
      if (!debias) add("rmsprop", place, ["β", ...eps, "E0"]);
      add("rmsprop", { ...place, debias }, ["β", ...eps, "μ"]);
      if (!debias) add("rmsprop", { ...place, nesterov: true }, ["β", ...eps, "μ"]);
    }
  }
  const both_ = [true, false];
  for (const debias_m of both_) {
    for (const debias_v of both_) {
      const terms = { debias_m, debias_v };
      add("adam", terms, ["β1", "β2"]);
      add("adam", terms, ["β1", "β2", "ε"]);
      add("adam", terms, ["β1", "β2", "ε_root"]);
      if (debias_v) add("adam", { ...terms, hat: true }, ["β1", "β2", "ε"]);
    }
  }
  add("adam", { nesterov: true }, ["β1", "β2", "ε"]);
  for (const corrected_first of both_) add("adam", { amsgrad: true, corrected_first }, ["β1", "β2", "ε"]);
  add("adam", { amsgrad: true, hat: true }, ["β1", "β2", "ε"]);
  add("adam", { late: 1 }, ["β1", "β2", "ε"]);
  return found.sort((a, b) => a.letters.length - b.letters.length);
}

// Terms that are no numbers: two rules with the same ones have the same formula.
const SHAPES = [
  "inside", "hat", "average", "nesterov", "amsgrad", "corrected_first", "debias", "debias_m", "debias_v", "late",
];
const ON = ["debias_m", "debias_v"]; // true where an equation does not say otherwise

function shape(terms, name) {
  return Boolean(terms[name] ?? ON.includes(name));
}

// The conventions that have this formula, and those of them whose defaults it has.
function whose(candidate, values) {
  const terms = { ...candidate.terms, ...values };
  const formulas = [];
  const defaults = [];
  for (const [name, convention] of Object.entries(conventions)) {
    if (convention.equation !== candidate.equation) continue;
    const optional = (term) => convention.letters.includes(term);
    const alike = SHAPES.every(
      (term) =>
        shape(terms, term) === shape(convention.terms, term) ||
        (term === "nesterov" && optional(term)) ||
        (term === "amsgrad" && optional(term)) ||
        (term === "inside" && !terms.ε),
    );
    const numbers = ["β", "β1", "β2", "μ", "ε", "ε_root", "E0", "G0", "dampening", "coupled", "decoupled"];
    const possible = numbers.every((letter) => near(terms[letter], convention.terms[letter]) || optional(letter));
    if (!alike || !possible) continue;
    formulas.push(name);
    const plain = !terms.nesterov && !terms.amsgrad === !convention.terms.amsgrad;
    const hidden = (letter) => letter === "ε" && terms.E0 && !terms.ε; // beside E₀ it is not seen
    const same = plain && numbers.every((n) => hidden(n) || near(terms[n], convention.terms[n]));
    if (same || sameSum(candidate, terms, convention.terms)) defaults.push(name);
  }
  return { formulas, defaults };
}

function near(a = 0, b = 0) {
  return Math.abs(a - b) <= 1e-4 * Math.max(Math.abs(a), Math.abs(b));
}

// AdaGrad shows only the sum of G₀ and ε where both stand inside the root.
function sameSum({ equation }, terms, other) {
  if (equation !== "adagrad" || (terms.ε && !terms.inside) || !other.inside) return false;
  const sum = (k) => (k.G0 || 0) + (k.ε || 0);
  return Math.abs(sum(terms) - sum(other)) < 1e-9;
}
