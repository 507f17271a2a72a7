// The optimizers of the playground as the notes have them: an equation, its fixed terms, and the
// settings that sliders move, with their defaults.
const rules = {
  sgd: { step: equations.sgd, terms: {}, settings: {} },
  momentum: { step: equations.sgd, terms: { average: true }, settings: { β: 0.9 } },
  "heavy-ball": { step: equations.sgd, terms: {}, settings: { β: 0.9 } },
  adagrad: { step: equations.adagrad, terms: {}, settings: { ε: 1e-8 } },
  rmsprop: { step: equations.rmsprop, terms: { inside: true }, settings: { β: 0.9, ε: 1e-8 } },
  adam: { step: equations.adam, terms: {}, settings: { β1: 0.9, β2: 0.999, ε: 1e-8 } },
  adamw: {
    step: equations.adam,
    terms: {},
    settings: { β1: 0.9, β2: 0.999, ε: 1e-8, decoupled: 1e-4 },
  },
};

// A walker is an optimizer on its way: the path it has gone, and a memory for each parameter.
function begin(rule, start) {
  return { rule, path: [start], memory: start.map(() => ({ ...rule.memory })) };
}

function advance(walker, landscape, settings) {
  const { path, memory, rule } = walker;
  const theta = path[path.length - 1];
  const gradient = landscape.gradient(theta, path.length - 1);
  const k = { ...rule.terms, ...settings };
  path.push(theta.map((x, i) => x + rule.step(gradient[i], memory[i], path.length, k, x)));
}

function walk(rule, landscape, settings, start, steps) {
  const walker = begin(rule, start);
  for (let t = 1; t <= steps; t++) advance(walker, landscape, settings);
  return walker.path;
}
