// The reader's own rule: from its text to a rule like those of rules.js, or to what is wrong with it.
// The text is run only after the reader has asked for it, never because it stands in a link.
const OWN_LETTERS = {
  α: { words: ["α", "alpha"], value: 0.05 },
  β: { words: ["β", "beta"], value: 0.9 },
  β1: { words: ["β1", "beta1"], value: 0.9 },
  β2: { words: ["β2", "beta2"], value: 0.999 },
  ε: { words: ["ε", "eps", "epsilon"], value: 1e-8 },
  decoupled: { words: ["λ", "lambda"], value: 1e-2 },
};
const MATH = "sqrt, cbrt, abs, sign, max, min, exp, log, pow, tanh, hypot, PI";

class RuleError extends Error {
  constructor(english, chinese) {
    super(english);
    this.html = both(escaped(english), escaped(chinese));
  }
}

function hasWord(text, word) {
  return new RegExp(`(?<![\\p{L}\\p{N}_.])${word}(?![\\p{L}\\p{N}_])`, "u").test(text);
}

// A rule with `step`, `memory` and `settings`; raises a RuleError for a text that is none.
function compileRule(text) {
  const code = text.replace(/\/\/.*$/gm, "");
  if (["while", "for", "do"].some((word) => hasWord(code, word))) {
    throw new RuleError(
      "Leave out loops: the lines are run once for each parameter and step.",
      "请去掉循环：这几行会对每个参数、每一步各运行一次。",
    );
  }
  const letters = Object.entries(OWN_LETTERS);
  const heads = letters.flatMap(([key, { words }]) => words.map((word) => `${word} = k["${key}"]`));
  let compiled;
  try {
    compiled = new Function(
      `"use strict"; const { ${MATH} } = Math;
      return function (g, s, t, k, θ) { const theta = θ, ${heads.join(", ")}; {\n${text}\n} };`,
    )();
  } catch (error) {
    throw new RuleError(`This is not JavaScript: ${error.message}.`, `这不是有效的 JavaScript：${error.message}。`);
  }
  const slots = [...code.matchAll(/\bs\.([\p{L}_][\p{L}\p{N}_]*)/gu)].map((match) => [match[1], 0]);
  const used = letters.filter(([, { words }]) =>
    words.some((word) => hasWord(code, word) && !new RegExp(`(const|let)\\s+${word}\\s*=`).test(code)),
  );
  const settings = Object.fromEntries(used.filter(([key]) => key !== "α").map(([key, { value }]) => [key, value]));
  const rule = { terms: {}, settings, memory: Object.fromEntries(slots), step: compiled };
  tryOnce(rule);
  return rule;
}

// The first steps with ordinary gradients must give numbers.
function tryOnce(rule) {
  const memory = { ...rule.memory };
  const k = { ...rule.settings, α: OWN_LETTERS.α.value };
  [0.5, -1, 0.25].forEach((g, i) => {
    let update;
    try {
      update = rule.step(g, memory, i + 1, k, 1);
    } catch (error) {
      throw new RuleError(`At step ${i + 1}: ${error.message}.`, `第 ${i + 1} 步出错：${error.message}。`);
    }
    if (update === undefined) {
      throw new RuleError(
        "Nothing is returned: end with the update, such as return -α * g.",
        "没有返回值：最后一行应返回更新量，例如 return -α * g。",
      );
    }
    if (typeof update !== "number" || !Number.isFinite(update)) {
      const what = typeof update === "number" ? String(update) : typeof update;
      throw new RuleError(
        `At step ${i + 1} the update is ${what}, not a number, for a gradient of ${g}.`,
        `第 ${i + 1} 步在梯度为 ${g} 时，更新量是 ${what}，不是有限的数。`,
      );
    }
  });
}

const bench = {
  code: document.getElementById("code"),
  example: document.getElementById("example"),
  verdict: document.getElementById("verdict"),
};

function runOwn() {
  try {
    const rule = compileRule(bench.code.value);
    bench.verdict.innerHTML = verdictOf(rule);
    adopt(rule);
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    bench.verdict.innerHTML = `<p class="error">${error.html}</p>`;
  }
}

// From the address: an example is ours and runs at once; a text waits for the reader.
function loadOwn(state) {
  const example = state.example in examples ? state.example : "";
  bench.code.value = state.rule ?? examples[example || "rmsprop"];
  bench.example.value = example || "rmsprop";
  bench.verdict.innerHTML = "";
  if (example && state.rule === undefined) runOwn();
}

function rememberOwn() {
  if (!("own" in rules)) return {};
  const text = bench.code.value;
  const example = Object.keys(examples).find((name) => examples[name] === text);
  return example ? { example } : { rule: text };
}

document.getElementById("run").addEventListener("click", runOwn);
bench.example.addEventListener("change", () => {
  bench.code.value = examples[bench.example.value];
  runOwn();
});
bench.code.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) runOwn();
});

function nameExamples() {
  for (const option of bench.example.options) option.textContent = option.dataset[root.dataset.language];
}
addEventListener("language", nameExamples);
nameExamples();
