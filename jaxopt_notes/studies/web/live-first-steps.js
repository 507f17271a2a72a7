// What the missing bias correction does to the first steps: their length, and a descent.
const STEPS = 100;
const plain = { ...rules.adam, terms: { debias_m: false, debias_v: false } };

startFigure({
  sliders: {
    ...moving,
    α: { letter: "α", ...byFactors(-3, 0), first: 0.2 },
  },
  show({ β1, β2, α }) {
    drawRatio(canvasOf("ratio"), β1, β2, moments(β1, β2, 1, 0.5, 2000));
    const map = landscapes.ravine;
    const walkers = [
      { name: "with", rule: rules.adam },
      { name: "without", rule: plain },
    ].map(({ name, rule }) => ({ name, path: walk(rule, map, { α, β1, β2, ε: 1e-8 }, map.start, STEPS) }));
    const paths = walkers.map(({ name, path }) => ({ points: path, look: looks[name] }));
    drawPlane(canvasOf("map"), map, paths, map.start, 0);
    const losses = walkers.map(({ path }) => path.map((theta) => map.loss(theta)));
    drawChart(canvasOf("loss"), {
      x: { low: 0, high: STEPS },
      y: { low: 1e-3, high: 1e4, log: true },
      curves: losses.map((loss, i) => ({ points: loss.map((l, t) => [t, l]), look: looks[walkers[i].name] })),
    });
    return told(β1, β2, α, losses);
  },
});

function told(β1, β2, α, [right, wrong]) {
  const first = biasRatio(β1, β2, 1);
  const top = largestRatio(β1, β2);
  const [english, chinese] =
    first > 1.001 ? ["too large", "过大"] : first < 0.999 ? ["too small", "过小"] : ["right by chance", "恰好正确"];
  const then = top.t > 1 ? [`, then up to <b>${times(top.ratio)}</b> at step ${top.t}`, `，到第 ${top.t} 步增至 <b>${timesChinese(top.ratio)}</b>`] : ["", ""];
  const [a, b] = [right[20], wrong[20]].map(numberText);
  return both(
    `Without the correction the first step is ${english}: <b>${times(first)}</b>${then[0]}. ` +
      `In this ravine at α = ${exactly(α)} the loss after 20 steps is <b>${a}</b> with it and <b>${b}</b> without.`,
    `没有校正时第一步${chinese}：<b>${timesChinese(first)}</b>${then[1]}。` +
      `在这个峡谷中，α = ${exactly(α)} 时，20 步后的损失带校正为 <b>${a}</b>，不带为 <b>${b}</b>。`,
  );
}
