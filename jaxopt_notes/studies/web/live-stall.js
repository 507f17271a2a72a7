// AdaGrad never forgets: the effective learning rate after large gradients, and a bowl to descend.
const LONG = 10000;
const MOST = 8000;
const START = Array.from({ length: 8 }, (_, i) => 10 * ((i + 0.5) / 8)); // from 0 to 10
const GOAL = 0.1;

const rateSlider = byFactors(-3, 1.5);

startFigure({
  sliders: {
    large: { letter: both("early gradients", "早期梯度"), ...byFactors(0, 2), first: 10 },
    until: { letter: both("for steps", "持续步数"), ...byFactors(0, 3), value: (at) => Math.round(10 ** at), first: 10 },
    β: { letter: both("β of RMSProp", "RMSProp 的 β"), ...nearOne(), high: 3, first: 0.9 },
    power: { letter: both("bowl: power p", "碗的幂次 p"), ...evenly(2, 6, 0.5), first: 4 },
    adagrad: { letter: both("α of AdaGrad", "AdaGrad 的 α"), ...rateSlider, first: 5, chosen: true },
    rmsprop: { letter: both("α of RMSProp", "RMSProp 的 α"), ...rateSlider, first: 0.1, chosen: true },
  },
  best: ({ power, β }) => ({
    adagrad: race(rules.adagrad, {}, power),
    rmsprop: race(rules.rmsprop, { β }, power),
  }),
  show({ large, until, β, power, adagrad, rmsprop }) {
    const simulated = { adagrad: rates(rules.adagrad, {}, large, until), rmsprop: rates(rules.rmsprop, { β }, large, until) };
    drawRates(simulated, { large, until, β });
    const descents = {
      adagrad: descent(rules.adagrad, { α: adagrad }, power),
      rmsprop: descent(rules.rmsprop, { α: rmsprop, β }, power),
    };
    drawDescents(descents);
    return told(simulated, descents);
  },
});

// The effective learning rate −u / (α g) at each step, of an optimizer as it runs.
function rates(rule, settings, large, until) {
  const memory = {};
  const k = { ...rule.terms, ε: 1e-8, ...settings, α: 1 };
  return Array.from({ length: LONG }, (_, i) => {
    const g = i < until ? large : 1;
    return -rule.step(g, memory, i + 1, k, 0) / g;
  });
}

// Σ |x|^p / p over the parameters: the mean |x| at each step, until it is below the goal.
function descent(rule, settings, power) {
  const next = descender(rule, settings, power);
  const means = [5];
  while (means.length <= MOST && means[means.length - 1] >= GOAL) means.push(next());
  return means;
}

// Makes one step of all parameters and returns the mean |x|.
function descender(rule, settings, power) {
  const k = { ...rule.terms, ε: 1e-8, ...settings };
  const theta = [...START];
  const memory = START.map(() => ({}));
  let t = 0;
  return () => {
    t += 1;
    let sum = 0;
    for (let i = 0; i < theta.length; i++) {
      theta[i] += rule.step(Math.sign(theta[i]) * Math.abs(theta[i]) ** (power - 1), memory[i], t, k, theta[i]);
      sum += Math.abs(theta[i]);
    }
    return sum / theta.length;
  };
}

// The learning rate that arrives first: all descend side by side until one is there.
function race(rule, settings, power) {
  const tried = Array.from({ length: 19 }, (_, i) => rounded(1e-3 * 3e4 ** (i / 18)));
  const racers = tried.map((α) => descender(rule, { ...settings, α }, power));
  for (let t = 1; t <= MOST; t++) {
    const there = racers.findIndex((next) => next() < GOAL);
    if (there >= 0) return tried[there];
  }
  return tried[9];
}

function drawRates(simulated, { large, until, β }) {
  const steps = thinned(1, LONG, 200);
  const dots = thinned(1, LONG, 36);
  const closed = { adagrad: (t) => adagradRate(large, until, t), rmsprop: (t) => rmspropRate(β, large, until, t) };
  drawChart(canvasOf("rates"), {
    x: { low: 1, high: LONG, log: true },
    y: { low: 1e-4, high: 10, log: true },
    curves: Object.keys(simulated).flatMap((name) => [
      { points: steps.map((t) => [t, closed[name](t)]), look: looks[name] },
      { points: dots.map((t) => [t, simulated[name][t - 1]]), look: looks[name], dots: true },
    ]),
    marks: large > 1 ? [{ x: until, text: tell("large gradients end", "大梯度结束") }] : [],
  });
}

function drawDescents(descents) {
  const arrived = Object.entries(descents).filter(([, means]) => means[means.length - 1] < GOAL);
  drawChart(canvasOf("bowl"), {
    x: { low: 1, high: MOST, log: true },
    y: { low: 0.05, high: 20, log: true },
    curves: Object.entries(descents).map(([name, means]) => ({
      points: means.map((mean, t) => [t + 1, mean]),
      look: looks[name],
    })),
    marks: [
      { y: GOAL },
      ...arrived.map(([name, means]) => ({
        ring: [means.length, GOAL],
        look: looks[name],
        text: tell(`step ${countText(means.length - 1)}`, `第 ${countText(means.length - 1)} 步`),
      })),
    ],
  });
}

function told(simulated, descents) {
  const [slow, level] = [simulated.adagrad, simulated.rmsprop].map((rates) => numberText(rates[999]));
  const steps = (name) => {
    const means = descents[name];
    return means[means.length - 1] < GOAL ? means.length - 1 : Infinity;
  };
  const [long, short] = [steps("adagrad"), steps("rmsprop")];
  const rate = both(
    `At step 1,000 AdaGrad's effective learning rate is <b>${slow}</b> α, RMSProp's <b>${level}</b> α.`,
    `第 1,000 步时，AdaGrad 的有效学习率是 <b>${slow}</b> α，RMSProp 的是 <b>${level}</b> α。`,
  );
  const ratio = Number.isFinite(long / short) ? numberText(long / short) : "";
  const bowl = both(
    `In the bowl ${arrival(long, "AdaGrad")} and ${arrival(short, "RMSProp")}${ratio && `: <b>${ratio}</b> times`}.`,
    `在碗中，AdaGrad ${arrivalChinese(long)}，RMSProp ${arrivalChinese(short)}${ratio && `，前者是后者的 <b>${ratio}</b> 倍`}。`,
  );
  return sentences(rate, bowl);
}

function arrival(steps, name) {
  return Number.isFinite(steps) ? `${name} needs <b>${countText(steps)}</b> steps` : `${name} does not arrive`;
}

function arrivalChinese(steps) {
  return Number.isFinite(steps) ? `需 <b>${countText(steps)}</b> 步` : "没有到达";
}
