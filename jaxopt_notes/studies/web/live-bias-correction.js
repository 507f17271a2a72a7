// m and v with and without the bias correction, over what they estimate.
startFigure({
  sliders: {
    ...moving,
    deviation: { letter: both("noise, in means", "噪声（以均值为单位）"), ...evenly(0, 2, 0.05), first: 0.5 },
  },
  show({ β1, β2, deviation }) {
    const simulated = moments(β1, β2, 1, deviation, FEW);
    drawMoments(simulated, β1, β2, deviation);
    drawRatio(canvasOf("ratio"), β1, β2, simulated);
    return told(β1, β2);
  },
});

function drawMoments(simulated, β1, β2, deviation) {
  const steps = thinned(1, FEW, 200);
  const dots = thinned(1, FEW, 36);
  const square = 1 + deviation ** 2;
  const [first, second] = [weightSum(β1, 1), weightSum(β2, 1)];
  drawChart(canvasOf("moments"), {
    x: { low: 1, high: FEW, log: true },
    y: { low: 5e-5, high: 5, log: true },
    curves: [
      { points: steps.map((t) => [t, weightSum(β1, t)]), look: looks.m },
      { points: steps.map((t) => [t, weightSum(β2, t)]), look: looks.v },
      { points: dots.map((t) => [t, simulated[t - 1].m]), look: looks.m, dots: true },
      { points: dots.map((t) => [t, simulated[t - 1].v / square]), look: looks.v, dots: true },
      { points: dots.map((t) => [t, simulated[t - 1].m / weightSum(β1, t)]), look: looks.corrected, dots: true },
      { points: dots.map((t) => [t, simulated[t - 1].v / square / weightSum(β2, t)]), look: looks.corrected, dots: true },
    ],
    marks: [
      { ring: [1, first], text: `m: ${numberText(first)}` },
      { ring: [1, second], text: `v: ${numberText(second)}` },
    ],
  });
}

// The first step at which a moment is within 1 % of what it estimates.
function until(β) {
  return Math.max(1, Math.ceil(Math.log(0.01) / Math.log(β) - 1e-9));
}

function told(β1, β2) {
  const [m, v] = [weightSum(β1, 1), weightSum(β2, 1)].map(numberText);
  const [soon, late] = [until(β1), until(β2)].map(countText);
  const first = biasRatio(β1, β2, 1);
  return both(
    `After one step m is <b>${m}</b> and v <b>${v}</b> of what they estimate. m is within 1 % from step ${soon} on, ` +
      `v from step ${late} on. The first step without the correction is <b>${times(first)}</b> the step with it.`,
    `一步后 m 是其估计量的 <b>${m}</b>，v 是 <b>${v}</b>。m 从第 ${soon} 步、v 从第 ${late} 步起误差在 1 % 以内。` +
      `不校正的第一步是校正后的 <b>${timesChinese(first)}</b>。`,
  );
}
