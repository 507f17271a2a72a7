// The update rules, for one parameter, as jaxopt_notes.optimizers has them. `step` takes the gradient
// g, the memory s (which it changes), the step t = 1, 2, …, its settings, and the parameter θ; it
// returns u, and θ becomes θ + u. A rule stands here with the package's defaults.
const rules = {};

rules.sgd = {
  memory: {},
  settings: {},
  step: (g, s, t, { rate }) => -rate * g,
};

rules.momentum = {
  memory: { v: 0 },
  settings: { beta: 0.9 },
  step(g, s, t, { rate, beta }) {
    s.v = beta * s.v + (1 - beta) * g;
    return -rate * s.v;
  },
};

rules["heavy-ball"] = {
  memory: { v: 0 },
  settings: { beta: 0.9 },
  step(g, s, t, { rate, beta }) {
    s.v = beta * s.v + g;
    return -rate * s.v;
  },
};

rules.adagrad = {
  memory: { G: 0.1 },
  settings: { eps: 1e-7 },
  step(g, s, t, { rate, eps }) {
    s.G += g * g;
    return (-rate * g) / Math.sqrt(s.G + eps);
  },
};

rules.rmsprop = {
  memory: { E: 0 },
  settings: { beta: 0.9, eps: 1e-8 },
  step(g, s, t, { rate, beta, eps }) {
    s.E = beta * s.E + (1 - beta) * g * g;
    return (-rate * g) / Math.sqrt(s.E + eps);
  },
};

rules.adam = {
  memory: { m: 0, v: 0 },
  settings: { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  step(g, s, t, { rate, beta1, beta2, eps }) {
    s.m = beta1 * s.m + (1 - beta1) * g;
    s.v = beta2 * s.v + (1 - beta2) * g * g;
    const mHat = s.m / (1 - beta1 ** t);
    const vHat = s.v / (1 - beta2 ** t);
    return (-rate * mHat) / (Math.sqrt(vHat) + eps);
  },
};

rules.adamw = {
  memory: { m: 0, v: 0 },
  settings: { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 1e-4 },
  step(g, s, t, settings, theta) {
    return rules.adam.step(g, s, t, settings) - settings.rate * settings.decay * theta;
  },
};

// A walker is an optimizer on its way: the path it has gone, and a memory for each parameter.
function begin(name, start) {
  return { name, path: [start], memory: start.map(() => ({ ...rules[name].memory })) };
}

function advance(walker, landscape, settings) {
  const { path, memory, name } = walker;
  const theta = path[path.length - 1];
  const gradient = landscape.gradient(theta, path.length - 1);
  path.push(
    theta.map((x, i) => x + rules[name].step(gradient[i], memory[i], path.length, settings, x)),
  );
}

function walk(name, landscape, settings, start, steps) {
  const walker = begin(name, start);
  for (let t = 1; t <= steps; t++) advance(walker, landscape, settings);
  return walker.path;
}
