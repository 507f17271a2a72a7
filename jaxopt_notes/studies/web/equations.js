// The equations of all frameworks, for one parameter. `k` holds the learning rate α and the terms by
// which the frameworks differ, named as in jaxopt_notes/verification/oracle_equations.py; a term that
// is missing is 0 or false. `s` is the memory, which a step changes; t counts from 1. A step returns
// the update u, and θ becomes θ + u.
const equations = {
  sgd(g, s, t, k, theta) {
    const beta = k.β || 0;
    const x = entering(g, k, theta);
    const push = k.rate_inside ? k.α * x : x;
    if (k.average) s.v = (t === 1 ? 0 : beta * s.v) + (1 - beta) * push;
    else s.v = t === 1 || !beta ? push : beta * s.v + (1 - (k.dampening || 0)) * push;
    const ahead = k.nesterov && beta;
    const step = ahead ? push + beta * s.v : s.v / (k.debias ? 1 - beta ** t : 1);
    return -(k.rate_inside ? step : k.α * step) - shrinking(k, theta);
  },

  adagrad(g, s, t, k, theta) {
    const x = entering(g, k, theta);
    s.G = (t === 1 ? k.G0 || 0 : s.G) + x * x;
    const rate = k.α / (1 + (t - 1) * (k.rate_decay || 0));
    return -rate * divided(x, under(s.G, k)) - shrinking(k, theta);
  },

  rmsprop(g, s, t, k, theta) {
    const x = entering(g, k, theta);
    const first = t === 1;
    s.E = k.β * (first ? k.E0 || 0 : s.E) + (1 - k.β) * x * x;
    const corrected = k.debias ? 1 - k.β ** t : 1;
    let spread = s.E / corrected;
    if (k.centered) {
      s.m = k.β * (first ? 0 : s.m) + (1 - k.β) * x;
      spread -= (s.m / corrected) ** 2;
    }
    const push = divided(x, under(spread, k)) * (k.rate_inside === false ? 1 : k.α);
    const mu = k.μ || 0;
    s.v = mu * (first ? 0 : s.v) + push;
    const step = k.nesterov ? push + mu * s.v : s.v;
    return -(k.rate_inside === false ? k.α * step : step) - shrinking(k, theta);
  },

  adam(g, s, t, k, theta) {
    const x = entering(g, k, theta);
    const first = t === 1;
    s.m = k.β1 * (first ? 0 : s.m) + (1 - k.β1) * x;
    s.v = k.β2 * (first ? 0 : s.v) + (1 - k.β2) * x * x;
    const c1 = k.debias_m === false ? 1 : 1 - k.β1 ** t;
    const c2 = k.debias_v === false ? 1 : 1 - k.β2 ** t;
    let v = k.corrected_first ? s.v / c2 : s.v;
    if (k.amsgrad) v = s.max = Math.max(first ? 0 : s.max, v);
    const ahead = () => (k.β1 * s.m) / (1 - k.β1 ** (t + 1)) + ((1 - k.β1) * x) / c1;
    const m = k.nesterov ? ahead() : s.m / c1;
    const eps = k.ε || 0;
    if (k.hat) return -k.α * Math.sqrt(c2) * divided(m, Math.sqrt(v) + eps) - shrinking(k, theta);
    const vHat = k.corrected_first ? v : v / c2;
    return -k.α * divided(m, Math.sqrt(vHat + (k.ε_root || 0)) + eps) - shrinking(k, theta);
  },

  lion(g, s, t, k, theta) {
    const x = entering(g, k, theta);
    const m = t === 1 ? 0 : s.m;
    s.m = k.β2 * m + (1 - k.β2) * x;
    return -k.α * Math.sign(k.β1 * m + (1 - k.β1) * x) - shrinking(k, theta);
  },
};

function entering(g, k, theta) {
  return (k.maximize ? -g : g) + (k.coupled ? k.coupled * theta : 0);
}

function shrinking(k, theta) {
  return ((k.decoupled ? k.α * k.decoupled : 0) + (k.unscaled || 0)) * theta;
}

function under(x, k) {
  return k.inside ? Math.sqrt(x + (k.ε || 0)) : Math.sqrt(x) + (k.ε || 0);
}

// 0 / 0 is a parameter that has had no gradient yet: it stays.
function divided(x, by) {
  return by > 0 ? x / by : 0;
}
