// Following a centre that moves: how far behind, and the error over the learning rate.
const LONG = 2000;
const SHOWN = 120;
const LEARNING_RATES = Array.from({ length: 17 }, (_, i) => 10 ** (-3 + i / 4));
const FINE_RATES = Array.from({ length: 201 }, (_, i) => 10 ** (-3 + i / 50));
const FOLLOWERS = { sgd: rules.sgd, momentum: rules.momentum, adam: rules.adam };

let known = {}; // the errors of the last scene

const rateSlider = byFactors(-3, 1);

startFigure({
  sliders: {
    steady: { letter: both("steady drift a step", "每步匀速漂移"), ...evenly(0, 0.1, 0.002), first: 0.05 },
    walk: { letter: both("random drift a step", "每步随机漂移"), ...evenly(0, 0.5, 0.01), first: 0.1 },
    noise: { letter: both("noise in gradients", "梯度噪声"), ...evenly(0, 3, 0.05), first: 1 },
    α: { letter: both("α of SGD and momentum", "SGD 与动量的 α"), ...rateSlider, first: 0.2, chosen: true },
    adam: { letter: both("α of Adam", "Adam 的 α"), ...rateSlider, first: 0.1, chosen: true },
  },
  best: (scene) => ({ α: bestOf(sgdErrors(scene)), adam: bestOf(errorsIn(scene).adam) }),
  show({ steady, walk, noise, α, adam }) {
    const scene = { steady, walk, noise };
    const rates = { sgd: α, momentum: α, adam };
    const ways = Object.keys(FOLLOWERS).map((name) => ({ name, behind: follow(name, rates[name], scene) }));
    drawBehind(ways, α, scene);
    drawErrors(errorsIn(scene), rates, scene);
    return told(ways, α, scene);
  },
});

// c − x at each step of a walk on ½ (x − c)² from the centre.
function follow(name, α, { steady, walk: deviation, noise: loud }) {
  const centres = [0];
  const line = {
    gradient([x], t) {
      const [moved, noisy] = noise(t + 1);
      centres.push(centres[t] + steady + deviation * moved);
      return [x - centres[t] + loud * noisy];
    },
  };
  const path = walk(FOLLOWERS[name], line, { ...FOLLOWERS[name].settings, α }, [0], LONG);
  return path.map(([x], t) => centres[t] - x);
}

// The mean squared distance after the first tenth.
function errorOf(behind) {
  const later = behind.slice(LONG / 10);
  return later.reduce((sum, e) => sum + e * e, 0) / later.length;
}

function errorsIn({ steady, walk, noise }) {
  const scene = { steady, walk, noise };
  const key = JSON.stringify(scene);
  if (known.key !== key) {
    known = { key };
    for (const name in FOLLOWERS) known[name] = LEARNING_RATES.map((rate) => [rate, errorOf(follow(name, rate, scene))]);
  }
  return known;
}

function sgdErrors(scene) {
  return FINE_RATES.map((rate) => [rate, trackingError(rate, 0, scene)]);
}

// The learning rate with the least error.
function bestOf(errors) {
  return rounded(errors.reduce((best, at) => (at[1] < best[1] ? at : best))[0]);
}

function drawBehind(ways, α, scene) {
  const lag = scene.steady / α;
  const far = Math.max(1e-3, 1.3 * lag, ...ways.flatMap(({ behind }) => behind.slice(0, SHOWN).map(Math.abs)).filter((e) => e < 20));
  drawChart(canvasOf("behind"), {
    x: { low: 0, high: SHOWN },
    y: { low: -far, high: far },
    curves: ways.map(({ name, behind }) => ({ points: behind.slice(0, SHOWN + 1).map((e, t) => [t, e]), look: looks[name] })),
    marks: lag ? [{ y: lag, text: tell(`lag by the closed form: ${numberText(lag)}`, `解析式给出的滞后：${numberText(lag)}`) }] : [],
  });
}

function drawErrors(errors, rates, scene) {
  const names = Object.keys(FOLLOWERS);
  const least = Math.min(...names.flatMap((name) => errors[name].map(([, e]) => e)).filter((e) => e > 0));
  const low = 10 ** Math.floor(Math.log10(least));
  const closed = (name, β) => ({
    points: FINE_RATES.map((α) => [α, Math.min(1e9, trackingError(α, β, scene))]),
    look: looks[name],
  });
  drawChart(canvasOf("errors"), {
    x: { low: 1e-3, high: 10, log: true },
    y: { low, high: 1e3 * low, log: true },
    curves: [
      closed("sgd", 0),
      closed("momentum", rules.momentum.settings.β),
      ...names.map((name) => ({ points: errors[name].map(([α, e]) => [α, Math.min(1e9, e) || 1e9]), look: looks[name], dots: true })),
    ],
    marks: [
      { ring: [rates.sgd, trackingError(rates.sgd, 0, scene)], text: `α = ${exactly(rates.sgd)}`, look: looks.sgd },
      { ring: [rates.adam, errorOf(follow("adam", rates.adam, scene))], text: `α = ${exactly(rates.adam)}`, look: looks.adam },
    ],
  });
}

function told(ways, α, scene) {
  const [sgd, momentum, adam] = ways.map(({ behind }) => errorOf(behind));
  const closed = trackingError(α, 0, scene);
  return both(
    `SGD's mean squared distance is <b>${numberText(sgd)}</b> (closed form ${numberText(closed)}), ` +
      `momentum's ${numberText(momentum)}, Adam's <b>${numberText(adam)}</b>: ${numberText(adam / sgd)} times SGD's. ` +
      `By the closed form, the steady drift leaves SGD ${numberText(scene.steady / α)} behind, ` +
      `which is ${numberText(1 / α)} steps.`,
    `SGD 的均方距离为 <b>${numberText(sgd)}</b>（解析式 ${numberText(closed)}），动量为 ${numberText(momentum)}，` +
      `Adam 为 <b>${numberText(adam)}</b>，是 SGD 的 ${numberText(adam / sgd)} 倍。` +
      `按解析式，匀速漂移使 SGD 落后 ${numberText(scene.steady / α)}，即 ${numberText(1 / α)} 步。`,
  );
}
