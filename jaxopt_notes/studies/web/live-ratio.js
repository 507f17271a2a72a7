// Adam's first steps without the bias correction, as multiples of the steps with it.
const FEW = 5000;

// m, v and the length of m / √v over that of m̂ / √v̂ at each step, over many parameters whose
// gradients are `mean` and noise.
function moments(β1, β2, mean, deviation, steps) {
  const COUNT = 10;
  const [right, plain] = [false, true].map((off) => ({ α: 1, β1, β2, debias_m: !off, debias_v: !off }));
  const memories = Array.from({ length: COUNT }, () => [{}, {}]);
  return Array.from({ length: steps }, (_, i) => {
    const sums = { m: 0, v: 0, with: 0, without: 0 };
    memories.forEach(([a, b], n) => {
      const g = mean + deviation * noise(COUNT * i + n)[0];
      sums.with += equations.adam(g, a, i + 1, right, 0) ** 2;
      sums.without += equations.adam(g, b, i + 1, plain, 0) ** 2;
      sums.m += a.m / COUNT;
      sums.v += a.v / COUNT;
    });
    return { m: sums.m, v: sums.v, ratio: Math.sqrt(sums.without / sums.with) };
  });
}

function drawRatio(canvas, β1, β2, simulated) {
  const steps = thinned(1, FEW, 200);
  const top = largestRatio(β1, β2);
  const largest = tell(`${times(top.ratio)} at step ${top.t}`, `第 ${top.t} 步 ${timesChinese(top.ratio)}`);
  drawChart(canvas, {
    x: { low: 1, high: FEW, log: true },
    y: { low: 0.03, high: 100, log: true },
    curves: [
      { points: steps.map((t) => [t, biasRatio(β1, β2, t)]), look: looks.ratio },
      { points: thinned(1, simulated.length, 36).map((t) => [t, simulated[t - 1].ratio]), look: looks.ratio, dots: true },
    ],
    marks: [
      { y: 1, text: tell("right", "正确") },
      { ring: [1, biasRatio(β1, β2, 1)], text: times(biasRatio(β1, β2, 1)) },
      ...(top.t > 1 ? [{ ring: [top.t, top.ratio], text: largest }] : []),
    ],
  });
}

function times(x) {
  return `${numberText(x)}×`;
}

function timesChinese(x) {
  return `${numberText(x)} 倍`;
}

// The largest ratio and its step; where it falls from the first step on, that step.
function largestRatio(β1, β2) {
  let top = { t: 1, ratio: biasRatio(β1, β2, 1) };
  for (let t = 2; t <= FEW; t++) {
    const ratio = biasRatio(β1, β2, t);
    if (ratio > top.ratio * (1 + 1e-9) && ratio > 1 + 1e-9) top = { t, ratio };
  }
  return top;
}

const moving = {
  β1: { letter: "β₁", ...nearOne(), high: 3, first: 0.9 },
  β2: { letter: "β₂", ...nearOne(), first: 0.999 },
};
