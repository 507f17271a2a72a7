// Off a saddle: paths, losses, and how y grows, by simulation and by the linear saddle's closed form.
const MOST = 3000;
const OFF = 0.5;
const saddle = { ...landscapes.saddle, view: [-1.1, 1.1, -0.35, 1.3] };

const rateSlider = byFactors(-3, 0.8);

startFigure({
  sliders: {
    sgd: { letter: both("α of SGD", "SGD 的 α"), ...rateSlider, first: 0.18 },
    momentum: { letter: both("α of momentum", "动量的 α"), ...rateSlider, first: 2 },
    β: { letter: both("β of momentum", "动量的 β"), ...nearOne(), high: 2, first: 0.9 },
    y: { letter: both("y at the start", "起点的 y"), ...byFactors(-8, -1), first: 1e-4 },
  },
  show({ sgd, momentum, β, y }) {
    const start = [0.5, y];
    const walkers = [
      { name: "sgd", α: sgd, β: 0, path: walk(rules.sgd, saddle, { α: sgd }, start, MOST) },
      { name: "momentum", α: momentum, β, path: walk(rules.momentum, saddle, { α: momentum, β }, start, MOST) },
    ].map(left);
    const shown = Math.min(MOST, Math.max(20, ...walkers.map(({ steps }) => (steps === Infinity ? 0 : Math.ceil(1.3 * steps + 10)))));
    for (const walker of walkers) walker.path.length = shown + 1;
    const paths = walkers.map(({ name, path }) => ({ points: path, look: looks[name] }));
    const marks = walkers
      .filter(({ steps }) => steps <= shown)
      .map(({ steps, path }) => ({ at: path[steps], text: tell(`off at step ${steps}`, `第 ${steps} 步离开`) }));
    drawPlane(canvasOf("map"), saddle, paths, start, 0, marks);
    drawLosses(walkers, shown);
    drawGrowth(walkers, y, shown);
    const [plain, ball] = walkers;
    return sentences(fate(plain, y, "SGD", "SGD "), fate(ball, y, "Momentum", "动量"), compared(plain, ball, y));
  },
});

// The first step off the saddle, if the path is stable across the ridge.
function left(walker) {
  const steps = walker.path.findIndex(([, y]) => Math.abs(y) > OFF);
  const stable = 10 * walker.α < stableTo(walker.β);
  return { ...walker, stable, steps: stable && steps >= 0 ? steps : Infinity };
}

function drawLosses(walkers, shown) {
  drawChart(canvasOf("loss"), {
    x: { low: 0, high: shown },
    y: { low: 1e-6, high: 10, log: true },
    curves: walkers.map(({ name, path }) => ({
      points: path.map((theta, t) => [t, saddle.loss(theta)]),
      look: looks[name],
    })),
    marks: [{ y: 0.25, near: shown / 2, text: tell("loss at the saddle", "鞍点处的损失") }],
  });
}

// The closed form holds near the saddle; far from it y³ bends the points away.
function drawGrowth(walkers, from, shown) {
  const every = Array.from({ length: shown + 1 }, (_, t) => t);
  const steps = spaced(shown, 30);
  drawChart(canvasOf("growth"), {
    x: { low: 0, high: shown },
    y: { low: 10 ** Math.floor(Math.log10(from * 0.99)), high: 10, log: true },
    curves: walkers.flatMap(({ name, α, β, path }) => [
      { points: every.map((t) => [t, from * along(-α, β, t)]), look: looks[name] },
      { points: steps.map((t) => [t, Math.abs(path[t][1])]), look: looks[name], dots: true },
    ]),
    marks: [{ y: OFF, text: tell("off: |y| = ½", "离开：|y| = ½") }],
  });
}

function fate({ α, β, steps, stable }, from, english, chinese) {
  if (!stable) {
    const [at, limit] = [numberText(10 * α), numberText(stableTo(β))];
    return both(
      `${english} diverges across the ridge: 10 α = ${at} is beyond ${limit}.`,
      `${chinese}在横向发散：10 α = ${at} 超过 ${limit}。`,
    );
  }
  if (steps === Infinity) {
    return both(`${english} is still there after ${countText(MOST)} steps.`, `${chinese}过了 ${countText(MOST)} 步仍在鞍点。`);
  }
  const grows = numberText(factor(-α, β));
  const closed = countText(escapes(α, β, from, OFF));
  return both(
    `${english} is off at step <b>${countText(steps)}</b> (closed form: ${closed}); a step multiplies y by ${grows}.`,
    `${chinese}在第 <b>${countText(steps)}</b> 步离开（解析式：${closed}），每步 y 乘以 ${grows}。`,
  );
}

// How long momentum takes with SGD's learning rate.
function compared(plain, ball, from) {
  if (!Number.isFinite(plain.steps)) return "";
  const same = escapes(plain.α, ball.β, from, OFF);
  const wins = ball.steps < plain.steps && plain.steps < same;
  return both(
    `With SGD's learning rate momentum would take ${countText(same)} steps${wins ? ": it wins by its larger α" : ""}.`,
    `若用 SGD 的学习率，动量需要 ${countText(same)} 步${wins ? "：它靠更大的 α 取胜" : ""}。`,
  );
}
