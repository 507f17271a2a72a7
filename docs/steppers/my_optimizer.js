// An optimizer that `python -m jaxopt_notes.identify --command` can drive. Plain JavaScript.
//
//     python -m jaxopt_notes.identify --command "node docs/steppers/my_optimizer.js"
//
// Replace `update` by your own. Each line of the input is a JSON object; each answer is one too.

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

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => console.log(JSON.stringify(answer(JSON.parse(line)))));
