// An optimizer that `python -m jaxopt_notes.identify --command` can drive. Plain JavaScript.
//
//     python -m jaxopt_notes.identify --command "node docs/steppers/my_optimizer.js"
//
// Each line of the input is a JSON object; each answer is one too. With a file of docs/vectors it
// checks itself instead:
//
//     node docs/steppers/my_optimizer.js docs/vectors/optax.adam-1.json
//
// Replace `update` by your own.

const fs = require("fs"), path = require("path");

const β1 = 0.9, β2 = 0.999, ε = 1e-8, LEARNING_RATE = 0.001;
let params = {}, state = {}, rate = LEARNING_RATE;

// Adam, for one number: i is its place in the array, s the array's own state.
function update(p, g, s, i) {
  s.m[i] = β1 * s.m[i] + (1 - β1) * g;
  s.v[i] = β2 * s.v[i] + (1 - β2) * g * g;
  const m = s.m[i] / (1 - β1 ** s.count), v = s.v[i] / (1 - β2 ** s.count);
  return p - rate * m / (Math.sqrt(v) + ε);
}

function answer(asked) {
  if (asked.start) {
    params = asked.start;
    rate = LEARNING_RATE;
    state = {};
    for (const name in params) {
      const zeros = params[name].map(() => 0);
      state[name] = { count: 0, m: zeros, v: [...zeros] };
    }
    return { params };
  }
  if (asked.step) {
    for (const [name, gradient] of Object.entries(asked.step)) {
      if (gradient === null) continue; // an array without a gradient stays as it is
      state[name].count += 1;
      params[name] = params[name].map((p, i) => update(p, gradient[i], state[name], i));
    }
    return { params };
  }
  if (asked.learning_rate !== undefined) rate = asked.learning_rate;
  if (asked.save) return { state };
  if (asked.load) state = asked.load;
  return { ok: true };
}

// The largest distance from the expected parameters, in units of the tolerance.
function off(file) {
  const read = (name) => JSON.parse(fs.readFileSync(name, "utf8"));
  const expects = read(file), shared = read(path.join(path.dirname(file), expects.gradients));
  answer({ start: shared.start });
  rate = expects.keywords.learning_rate;
  let worst = 0;
  for (let step = 1; step <= shared.steps; step++) {
    const rows = Object.entries(shared.gradients).map(([name, g]) => [name, g[step - 1]]);
    answer({ step: Object.fromEntries(rows) });
    for (const [name, values] of Object.entries(expects.expected[step] ?? {})) {
      values.forEach((value, i) => {
        const scale = expects.scale[name][i] || 1;
        worst = Math.max(worst, Math.abs(params[name][i] - value) / scale);
      });
    }
  }
  return worst / expects.tolerance.float64;
}

const file = process.argv[2];
if (file) console.log(`${file}: ${off(file).toPrecision(2)} of the tolerance`);
else
  require("readline")
    .createInterface({ input: process.stdin })
    .on("line", (line) => console.log(JSON.stringify(answer(JSON.parse(line)))));
