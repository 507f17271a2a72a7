// Closed forms, which the live figures draw over what they simulate. `a` is αλ, the learning rate
// times the curvature; momentum is the notes' moving average, and SGD is momentum with β = 0.

// How much of its distance a step leaves along one direction: the larger |z| of the roots of
// z² − (1 + β − (1 − β) a) z + β = 0.
function factor(a, β) {
  const middle = 1 + β - (1 - β) * a;
  const under = middle ** 2 - 4 * β;
  return under < 0 ? Math.sqrt(β) : (Math.abs(middle) + Math.sqrt(under)) / 2;
}

// The αλ beyond which it diverges.
function stableTo(β) {
  return (2 * (1 + β)) / (1 - β);
}

// θ_t / θ_0 from rest along one direction; a is negative where the curvature is.
function along(a, β, t) {
  const middle = 1 + β - (1 - β) * a;
  const first = middle - β;
  const under = middle ** 2 - 4 * β;
  if (under < 0) {
    const r = Math.sqrt(β);
    const angle = Math.acos(middle / (2 * r));
    return r ** t * (Math.cos(angle * t) + ((first / r - Math.cos(angle)) / Math.sin(angle)) * Math.sin(angle * t));
  }
  const [z, w] = [(middle + Math.sqrt(under)) / 2, (middle - Math.sqrt(under)) / 2];
  if (z === w) return z === 0 ? Number(t === 0) : z ** t * (1 + t * (first / z - 1));
  return ((first - w) * z ** t + (z - first) * w ** t) / (z - w);
}

// The step from which a coordinate that starts at `from` beside a saddle of curvature −1 is at `to`.
function escapes(α, β, from, to) {
  let t = 0;
  while (t < 1e5 && from * along(-α, β, t) < to) t++;
  return t;
}

// The sum of a moving average's weights after t steps, 1 − β^t.
function weightSum(β, t) {
  return -Math.expm1(t * Math.log(β));
}

// The steps after which a weight has halved.
function halfLife(β) {
  return Math.LN2 / -Math.log(β);
}

// Adam's step without the bias correction, as a multiple of the step with it.
function biasRatio(β1, β2, t) {
  return weightSum(β1, t) / Math.sqrt(weightSum(β2, t));
}

// 1 / √G after t steps whose gradients are `large` for the first `until` steps, and 1 from then on.
function adagradRate(large, until, t) {
  return 1 / Math.sqrt(large ** 2 * Math.min(t, until) + Math.max(t - until, 0));
}

// 1 / √E of RMSProp with the same gradients.
function rmspropRate(β, large, until, t) {
  const late = Math.max(t - until, 0);
  return 1 / Math.sqrt(β ** late * weightSum(β, Math.min(t, until)) * large ** 2 + weightSum(β, late));
}

// The mean squared distance from a centre that moves by `steady` a step and by a random `walk` of
// that deviation, on ½ (x − c)² with `noise` in the gradient: SGD (β = 0) or momentum. ∞ where unstable.
function trackingError(α, β, { steady, walk, noise }) {
  if (!(α > 0 && α < stableTo(β))) return Infinity;
  const η = (1 - β) * α;
  const next = 1 + β - η;
  const unit = (1 + β) / ((1 - β) * η * (2 * (1 + β) - η)); // the variance that noise of 1 adds up to
  const walked = walk ** 2 * (1 + β ** 2 - (2 * β * next) / (1 + β));
  return (steady / α) ** 2 + unit * (walked + (η * noise) ** 2);
}
