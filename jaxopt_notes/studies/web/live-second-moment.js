// v is the variance plus the squared mean: over the steps, and over the batch size.
const LONG = 8000;
const BATCHES = [1, 4, 16, 64, 256, 1024, 4096];
const normals = Array.from({ length: LONG }, (_, i) => noise(i >> 1)[i & 1]);

startFigure({
  sliders: {
    μ: { letter: both("mean μ of one image", "单张图像的均值 μ"), ...byFactors(-3, 1), first: 0.0454 },
    σ: { letter: both("deviation σ of one image", "单张图像的标准差 σ"), ...byFactors(-1, 1), first: 1 },
    batch: { letter: both("batch size B", "批大小 B"), ...evenly(0, 12, 1), value: (at) => 2 ** at, at: Math.log2, first: 64 },
    β2: { letter: "β₂", ...nearOne(), low: 1, first: 0.999 },
  },
  show({ μ, σ, batch, β2 }) {
    const path = estimates(μ, σ / Math.sqrt(batch), β2);
    drawSteps(path, μ ** 2, σ ** 2 / batch);
    drawBatches({ μ, σ, batch, β2 });
    return told(settled(path), μ ** 2, σ ** 2 / batch, batch);
  },
});

// v̂ of Adam after each step, of normal gradients.
function estimates(mean, deviation, β2) {
  const memory = {};
  return Array.from({ length: LONG }, (_, i) => {
    const g = mean + deviation * normals[i];
    equations.adam(g, memory, i + 1, { α: 1, β1: 0.9, β2 }, 0);
    return memory.v / weightSum(β2, i + 1);
  });
}

// The average over the later half of the steps.
function settled(path) {
  const later = path.slice(LONG / 2);
  return later.reduce((sum, v) => sum + v, 0) / later.length;
}

function drawSteps(path, squared, variance) {
  const steps = thinned(1, LONG, 300);
  drawChart(canvasOf("steps"), {
    x: { low: 1, high: LONG, log: true },
    y: { low: 0, high: 2 * (squared + variance) },
    curves: [{ points: steps.map((t) => [t, path[t - 1]]), look: looks.simulated }],
    marks: [
      { y: squared + variance, near: 300, text: tell("variance + mean²", "方差 + 均值²") },
      { y: variance, near: 20, text: tell("variance", "方差") },
    ],
  });
}

function drawBatches({ μ, σ, batch, β2 }) {
  const closed = (b) => 1 + (μ ** 2 * b) / σ ** 2;
  const line = Array.from({ length: 121 }, (_, i) => 2 ** (i / 10));
  const ratio = (b) => (settled(estimates(μ, σ / Math.sqrt(b), β2)) * b) / σ ** 2;
  const high = 10 ** Math.ceil(Math.log10(1.5 * closed(4096)));
  drawChart(canvasOf("batches"), {
    x: { low: 1, high: 5000, log: true },
    y: { low: 0.5, high, log: true },
    curves: [
      { points: line.map((b) => [b, closed(b)]), look: looks.closed },
      { points: BATCHES.map((b) => [b, ratio(b)]), look: looks.simulated, dots: true },
    ],
    marks: [{ y: 1, text: tell("variance alone", "只有方差") }, { ring: [batch, closed(batch)], text: `B = ${batch}` }],
  });
}

function told(v, squared, variance, batch) {
  const share = percent(squared / (squared + variance));
  const times = numberText(v / variance);
  return both(
    `At batch size ${countText(batch)}, v̂ settles at <b>${numberText(v)}</b>: variance ${numberText(variance)} + mean² ` +
      `${numberText(squared)}. The squared mean is <b>${share}</b> of it, so v is ${times} times the variance.`,
    `批大小 ${countText(batch)} 时，v̂ 稳定在 <b>${numberText(v)}</b>：方差 ${numberText(variance)} + 均值² ` +
      `${numberText(squared)}。均值平方占其中的 <b>${share}</b>，v 是方差的 ${times} 倍。`,
  );
}
