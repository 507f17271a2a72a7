// A moving average is a weighted sum: the weights, and the sum over the average of noisy gradients.
const LONG = 100;
const gradients = Array.from({ length: LONG }, (_, t) => Math.sin(t / 9) + 0.8 * noise(t)[0]);

startFigure({
  sliders: {
    β: { letter: "β", ...nearOne(), low: 0.05, high: 3, first: 0.9 },
    t: { letter: both("steps t", "步数 t"), ...evenly(1, LONG, 1), first: 40 },
  },
  show({ β, t }) {
    const weights = Array.from({ length: t }, (_, i) => (1 - β) * β ** (t - 1 - i));
    const read = Array.from({ length: t }, (_, i) => averages(β, t, (step) => Number(step === i))[t - 1]);
    drawWeights(weights, read, β);
    const recursion = averages(β, LONG, (step) => gradients[step]);
    const sums = gradients.map((_, n) => weighted(β, n + 1));
    drawSums(recursion, sums, t);
    const off = Math.max(...sums.map((sum, n) => Math.abs(sum - recursion[n])));
    return told(β, t, read.reduce((a, b) => a + b), off);
  },
});

// m after each step, by the recursion that the optimizers use.
function averages(β, steps, gradient) {
  const memory = {};
  return Array.from({ length: steps }, (_, i) => {
    equations.adam(gradient(i), memory, i + 1, { α: 1, β1: β, β2: 0 }, 0);
    return memory.m;
  });
}

// Σ (1 − β) β^(t − i) g_i, term by term.
function weighted(β, t) {
  let sum = 0;
  for (let i = 1; i <= t; i++) sum += (1 - β) * β ** (t - i) * gradients[i - 1];
  return sum;
}

function drawWeights(weights, read, β) {
  const ages = weights.map((_, i) => i + 1 - weights.length);
  const half = halfLife(β);
  drawChart(canvasOf("weights"), {
    x: { low: -LONG, high: 2 },
    y: { low: 0, high: 1.15 * (1 - β) },
    curves: [
      { points: weights.map((w, i) => [ages[i], w]), look: looks.closed, stems: true },
      { points: read.map((w, i) => [ages[i], w]), look: looks.simulated, dots: true },
    ],
    marks: [{ ring: [-half, (1 - β) / 2], text: tell(`half, ${numberText(half)} steps ago`, `${numberText(half)} 步前减半`) }],
  });
}

function drawSums(recursion, sums, t) {
  drawChart(canvasOf("sums"), {
    x: { low: 0, high: LONG },
    y: { low: -3, high: 3 },
    curves: [
      { points: gradients.map((g, i) => [i + 1, g]), look: looks.gradient, dots: true },
      { points: recursion.map((m, i) => [i + 1, m]), look: looks.closed },
      { points: sums.slice(0, t).map((m, i) => [i + 1, m]), look: looks.simulated, dots: true },
    ],
    marks: [{ x: t, text: `t = ${t}` }],
  });
}

function told(β, t, sum, off) {
  const half = numberText(halfLife(β));
  return both(
    `With β = ${exactly(β)} a weight halves every <b>${half}</b> steps. After ${t} steps the weights add up to ` +
      `<b>${numberText(sum)}</b> (closed form 1 − β<sup>t</sup>: ${numberText(weightSum(β, t))}). Recursion and sum differ by at most ${numberText(off)}.`,
    `β = ${exactly(β)} 时，权重每 <b>${half}</b> 步减半。${t} 步后权重之和为 <b>${numberText(sum)}</b>` +
      `（解析式 1 − β<sup>t</sup>：${numberText(weightSum(β, t))}）。递推与加权和最多相差 ${numberText(off)}。`,
  );
}
