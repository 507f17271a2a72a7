// Says what a rule is: the smallest known equation that explains its steps, whose it is, and what is
// wrong with it.
const EXPLAINS = 1e-6; // of a history's largest step
const TRIAL_RATE = 0.05;

function identify(rule) {
  const record = observe(rule, TRIAL_RATE);
  const zero = zeroFails(record);
  const fits = [];
  for (const candidate of candidatesFor(look(record))) {
    const one = fit(candidate, record);
    const smaller = fits.find((other) => other.misfit < EXPLAINS);
    if (smaller && candidate.letters.length > smaller.candidate.letters.length) break;
    fits.push(one);
    if (one.misfit < EXPLAINS && (candidate.equation !== "sgd" || hasTrialRate(one))) break;
  }
  const known = fits.filter((one) => one.misfit < EXPLAINS);
  const best = known.find(hasTrialRate) ?? known[0];
  if (best) return { ...best, known: true, zero };
  return { ...fits.reduce((a, b) => (b.misfit < a.misfit ? b : a)), known: false, zero };
}

// Sum and average differ in nothing but the learning rate: the learning rate that was passed tells them apart.
function hasTrialRate({ α }) {
  return Math.abs(α / TRIAL_RATE - 1) < 1e-6;
}

// Whether the first step is proportional to the gradient, and whether parameters move without one.
function look(record) {
  const shares = record
    .map(({ gradients, moves }) => moves[0] / gradients[0])
    .filter((share, i) => record[i].gradients[0] && !record[i].thetas[0] && Number.isFinite(share));
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  const moved = record.filter(({ gradients, size }) => !gradients.some(Boolean) && Number.isFinite(size) && size > 0);
  return { linear: most - least < 1e-6 * Math.max(Math.abs(most), Math.abs(least)), decays: moved.length > 0 };
}

function zeroFails(record) {
  return record.some(({ gradients, moves }) => gradients[0] === 0 && !Number.isFinite(moves[0]));
}

const FRAMEWORK_NAMES = {
  notes: ["the notes", "笔记"],
  optax: ["optax", "optax"],
  torch: ["torch", "torch"],
  keras: ["Keras", "Keras"],
  tensorflow1: ["TensorFlow 1", "TensorFlow 1"],
};

// The name of an equation in both languages.
function nameOf({ equation, terms, letters, decoupled }, values) {
  const decayed = decoupled || letters.includes("coupled");
  if (equation === "lion") return letters.includes("β1") ? ["Lion", "Lion"] : ["sign SGD", "符号 SGD"];
  if (equation === "adagrad") return ["AdaGrad", "AdaGrad"];
  if (equation === "rmsprop") {
    const extra = letters.includes("μ");
    return extra ? ["RMSProp with momentum", "带动量的 RMSProp"] : ["RMSProp", "RMSProp"];
  }
  if (equation === "adam") {
    if (terms.amsgrad) return ["AMSGrad", "AMSGrad"];
    if (terms.nesterov) return ["NAdam", "NAdam"];
    return decayed && decoupled ? ["AdamW", "AdamW"] : ["Adam", "Adam"];
  }
  if (!letters.includes("β")) return ["SGD", "SGD"];
  const ahead = terms.nesterov ? ["Nesterov's momentum", "Nesterov 动量"] : ["momentum", "动量"];
  if (values.dampening > 0) return [`${ahead[0]} with dampening`, `带阻尼的${ahead[1]}`];
  return terms.average
    ? [`${ahead[0]} as a moving average`, `滑动平均形式的${ahead[1]}`]
    : [`${ahead[0]} as a plain sum (heavy ball)`, `求和形式的${ahead[1]}（重球）`];
}

function placeOf({ equation, terms, letters }) {
  if (!["adagrad", "rmsprop", "adam"].includes(equation)) return ["", ""];
  if (letters.includes("ε_root") || (terms.inside && letters.includes("ε"))) return [" with ε inside the root", "，ε 在根号内"];
  if (terms.hat) return [" with ε added before the bias correction (ε̂)", "，ε 在偏差校正之前加入（ε̂）"];
  if (letters.includes("ε")) return [" with ε outside the root", "，ε 在根号外"];
  return ["", ""];
}

// What no framework means by the name, or what will go wrong.
function faultsOf({ candidate, values, α, zero }) {
  const { equation, terms, letters } = candidate;
  const adaptive = ["adagrad", "rmsprop", "adam"].includes(equation);
  const faults = [];
  if (α < 0) faults.push(["It climbs: the update has the wrong sign.", "方向反了：更新量的符号错误，损失会上升。"]);
  if (terms.debias_m === false) faults.push(["No bias correction of the first moment.", "一阶矩缺少偏差校正。"]);
  if (terms.debias_v === false) {
    faults.push([
      "No bias correction of the second moment: the first steps are too long.",
      "二阶矩缺少偏差校正：最初几步过长。",
    ]);
  }
  if (terms.late) faults.push(["The first step counts as 2: t is one ahead.", "第一步被当作第 2 步：t 多计了 1。"]);
  if (letters.includes("ε_root")) {
    faults.push(["Every framework's Adam adds ε outside the root.", "各框架的 Adam 都把 ε 加在根号外。"]);
  }
  if (adaptive && !letters.includes("ε") && !letters.includes("ε_root") && !values.G0 && !values.E0) {
    faults.push(["No ε: small gradients take steps as long as large ones.", "没有 ε：很小的梯度也会走出同样长的一步。"]);
  }
  if (zero) faults.push(["Where a gradient is 0 the update is not a number (0 / 0).", "梯度为 0 时更新量不是数（0 / 0）。"]);
  if (equation === "adam" && letters.includes("coupled")) {
    faults.push(["The weight decay is coupled: it passes through the moments. AdamW's does not.", "权重衰减是耦合的，会进入矩估计；AdamW 则不会。"]);
  }
  return faults;
}

// The numbers that were found, rounded to what the fit settles.
function numbersOf({ candidate, values, α, decay }) {
  const letters = { ε_root: "ε", E0: "E₀", G0: "G₀", dampening: "τ", coupled: "λ", β1: "β₁", β2: "β₂" };
  const found = candidate.letters.map((letter) => `${letters[letter] ?? letter} = ${found5(values[letter])}`);
  if (candidate.decoupled) found.push(`λ = ${found5(decay / α)}`);
  if (!hasTrialRate({ α: Math.abs(α) })) found.unshift(`α = ${found5(Math.abs(α))}`);
  return found.join(", ");
}

function found5(x) {
  return exactly(Number(x.toPrecision(5)));
}

// Frameworks of conventions such as optax.adam, once each.
function frameworksOf(list) {
  return [...new Set(list.map((name) => name.split(".")[0]))].map((name) => FRAMEWORK_NAMES[name]);
}

function headline({ candidate, values, decay, α }) {
  const [name, place] = [nameOf(candidate, values), placeOf(candidate)];
  const { formulas, defaults } = whose(candidate, { ...values, ...(candidate.decoupled ? { decoupled: decay / α } : {}) });
  const list = frameworksOf(defaults.length ? defaults : formulas);
  const title = [0, 1].map((i) => `<strong>${name[i]}${place[i]}</strong>`);
  if (!list.length) return both(`${title[0]}: no framework's convention.`, `${title[1]}：不是任何框架的约定。`);
  const owners = [list.map((texts) => texts[0]).join(", "), list.map((texts) => texts[1]).join("、")];
  return defaults.length
    ? both(`${title[0]}: the default of ${owners[0]}.`, `${title[1]}：${owners[1]} 的默认形式。`)
    : both(`${title[0]}: the formula of ${owners[0]}, with other numbers.`, `${title[1]}：与 ${owners[1]} 的公式相同，超参数不同。`);
}

function verdictOf(rule) {
  const found = identify(rule);
  const items = faultsOf(found).map(([en, zh]) => `<li>${both(en, zh)}</li>`);
  if (!found.known) {
    const [en, zh] = nameOf(found.candidate, found.values);
    const off = numberText(100 * Math.min(found.misfit, 99));
    const zero = found.zero ? faultsOf({ ...found, candidate: { terms: {}, letters: [] }, α: 1 }) : [];
    return `<p>${both(
      `<strong>None of the rules that this page knows.</strong> The nearest is ${en}; its steps are up to ${off} % off.`,
      `<strong>不是本页认识的规则。</strong>最接近的是 ${zh}，步长最多相差 ${off}%。`,
    )}</p><ul>${zero.map(([a, b]) => `<li>${both(a, b)}</li>`).join("")}</ul>`;
  }
  const numbers = numbersOf(found);
  return `<p>${headline(found)}</p>${numbers ? `<p class="small">${numbers}</p>` : ""}<ul>${items.join("")}</ul>`;
}
