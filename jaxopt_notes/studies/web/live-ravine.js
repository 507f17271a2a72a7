// Momentum in a ravine: paths, losses, the factor a step, and Goh's plane of step and β.
const MOST = 4000;
const START = [-1.9, 0.57]; // as in the study: 0.3 as far across as along

function ravine(κ) {
  return {
    loss: ([x, y]) => (x ** 2 + κ * y ** 2) / 2,
    gradient: ([x, y]) => [x, κ * y],
    minima: () => [[0, 0]],
    view: landscapes.ravine.view,
  };
}

// The step from which a path stays within 1 % of its first distance; ∞ if it does not.
function arrives(path) {
  const far = 0.01 * Math.hypot(...path[0]);
  const last = path.findLastIndex(([x, y]) => !(Math.hypot(x, y) <= far));
  return last === path.length - 1 ? Infinity : last + 1;
}

// SGD's best learning rate is known; momentum's is the one that arrives first out of a hundred.
function bestRates({ β, κ, start }) {
  const critical = (1 - Math.sqrt(β)) ** 2 / (1 - β);
  const limit = stableTo(β) / κ;
  const low = Math.min(critical, limit) / 4;
  let best = { steps: Infinity, α: limit / 2 };
  for (let i = 0; i < 100; i++) {
    const α = rounded(low * ((0.99 * limit) / low) ** (i / 99), 3);
    const most = Math.min(MOST, 2 * best.steps);
    const steps = arrives(walk(rules.momentum, ravine(κ), { α, β }, start, most));
    if (steps < best.steps) best = { steps, α };
  }
  return { sgd: rounded(2 / (1 + κ), 3), momentum: best.α };
}

let drawn = {}; // the landscapes of the last κ, whose pictures are kept

function planeOf(κ) {
  const slowest = (step, β) => Math.max(factor(step / (1 - β), β), factor(step / (1 - β) / κ, β));
  const steps = (rate) => Math.log(100) / -Math.log(Math.min(rate, 0.9999));
  return {
    loss: ([step, β]) => Math.log(steps(slowest(step, β))),
    minima: () => [[4 / (1 + 1 / Math.sqrt(κ)) ** 2, ((Math.sqrt(κ) - 1) / (Math.sqrt(κ) + 1)) ** 2]],
    view: [0, 4, 0, 0.99],
    names: ["(1 − β) α κ", "β"],
  };
}

function placeOf(α, β) {
  return [(1 - β) * α * live.settings.κ, β];
}

const rateSlider = byFactors(-4, 1, 3);

startFigure({
  sliders: {
    κ: { letter: both("steepness κ", "陡峭程度 κ"), ...byFactors(0.3, 3), first: 100 },
    β: { letter: both("β of momentum", "动量的 β"), ...nearOne(), high: 2, first: 0.9 },
    sgd: { letter: both("α of SGD", "SGD 的 α"), ...rateSlider, first: 0.0198, chosen: true },
    momentum: { letter: both("α of momentum", "动量的 α"), ...rateSlider, first: 0.0378, chosen: true },
  },
  others: { start: START },
  best: bestRates,
  show({ κ, β, sgd, momentum, start }) {
    if (drawn.κ !== κ) drawn = { κ, map: ravine(κ), goh: planeOf(κ) };
    const walkers = [
      { name: "sgd", α: sgd, β: 0, path: walk(rules.sgd, drawn.map, { α: sgd }, start, MOST) },
      { name: "momentum", α: momentum, β, path: walk(rules.momentum, drawn.map, { α: momentum, β }, start, MOST) },
    ].map((walker) => ({ ...walker, steps: arrives(walker.path) }));
    const slowest = Math.max(...walkers.map(({ steps }) => (steps === Infinity ? 40 : steps)));
    const shown = Math.min(MOST, Math.ceil(1.15 * slowest));
    for (const walker of walkers) walker.path.length = shown + 1;
    drawPlane(canvasOf("map"), drawn.map, walkers.map(({ name, path }) => ({ points: path, look: looks[name] })), start, 0);
    drawLosses(walkers, κ, start, shown);
    drawFactors(walkers, κ, β);
    const marks = walkers.map(({ name, α, β }) => ({ at: placeOf(α, β), text: tell(...labels[name]) }));
    drawPlane(canvasOf("goh"), drawn.goh, [], placeOf(momentum, β), 0, marks);
    return sentences(
      both(`κ = ${numberText(κ)}.`, `κ = ${numberText(κ)}。`),
      fate(walkers[0], κ, "SGD", "SGD "),
      fate(walkers[1], κ, "Momentum", "动量"),
      compared(walkers[0].steps / walkers[1].steps),
    );
  },
});

// Simulated points, and over them the sum of the closed forms along the two directions.
function drawLosses(walkers, κ, start, shown) {
  const closed = ({ α, β }, t) =>
    ((start[0] * along(α, β, t)) ** 2 + κ * (start[1] * along(α * κ, β, t)) ** 2) / 2;
  const first = drawn.map.loss(start);
  const steps = Array.from({ length: shown + 1 }, (_, t) => t);
  drawChart(canvasOf("loss"), {
    x: { low: 0, high: shown },
    y: { low: first * 1e-7, high: first * 5, log: true },
    curves: walkers.flatMap((walker) => [
      { points: steps.map((t) => [t, closed(walker, t)]), look: looks[walker.name] },
      { points: spaced(shown).map((t) => [t, drawn.map.loss(walker.path[t])]), look: looks[walker.name], dots: true },
    ]),
  });
}

function drawFactors(walkers, κ, β) {
  const a = Array.from({ length: 441 }, (_, i) => 10 ** (-3 + i / 70));
  drawChart(canvasOf("factor"), {
    x: { low: 1e-3, high: 2e3, log: true },
    y: { low: Math.max(0, Math.min(0.8, Math.sqrt(β) - 0.1)), high: 1.04 },
    curves: walkers.flatMap((walker) => [
      { points: a.map((a) => [a, factor(a, walker.β)]), look: looks[walker.name] },
      { points: [1, κ].map((λ) => [walker.α * λ, measured(walker, λ)]), look: looks[walker.name], dots: true },
    ]),
    marks: [
      ...walkers.map((walker, i) => ({
        x: stableTo(walker.β),
        near: [0.9, 0.86][i],
        text: tell(`limit ${numberText(stableTo(walker.β))}`, `极限 ${numberText(stableTo(walker.β))}`),
        look: looks[walker.name],
      })),
      { y: 1 },
    ],
  });
}

// The factor a step of a walk along one direction: by least squares on the later half of the
// logarithms of √(θ_t² + θ_{t+1}²), as θ itself passes through 0.
function measured({ α, β }, λ) {
  const line = { gradient: ([θ]) => [λ * θ] };
  const path = walk(rules.momentum, line, { α, β }, [1], 400).map(([θ]) => θ);
  const lengths = path.slice(1).map((θ, t) => Math.hypot(θ, path[t]));
  const end = lengths.findIndex((length) => !(length > 1e-250 && length < 1e250));
  const later = lengths.slice(0, end < 0 ? undefined : end).map(Math.log);
  const from = later.length >> 1;
  const middle = (from + later.length - 1) / 2;
  let [above, below] = [0, 0];
  for (let t = from; t < later.length; t++) {
    above += (t - middle) * later[t];
    below += (t - middle) ** 2;
  }
  return Math.exp(above / below);
}

movableStart(canvasOf("map"), {
  view: () => drawn.map.view,
  start: () => live.settings.start,
  moved: (start) => live.set({ start }),
  begun: (start) => live.set({ start }),
});

// A point of Goh's plane is momentum's β and α.
function go([step, height]) {
  const β = rounded(Math.min(0.99, Math.max(0, height)), 3);
  live.set({ β, momentum: rounded(Math.max(step, 1e-3) / (1 - β) / live.settings.κ, 3) });
}

movableStart(canvasOf("goh"), {
  view: () => drawn.goh.view,
  start: () => placeOf(live.settings.momentum, live.settings.β),
  moved: go,
  begun: go,
});

function fate({ α, β, steps }, κ, english, chinese) {
  if (α * κ > stableTo(β)) {
    const [at, limit] = [numberText(α * κ), numberText(stableTo(β))];
    return both(`${english} diverges: ακ = ${at} is beyond ${limit}.`, `${chinese}发散：ακ = ${at} 超过 ${limit}。`);
  }
  if (steps === Infinity) {
    const most = countText(MOST);
    return both(`${english} has not arrived after ${most} steps.`, `${chinese}在 ${most} 步内没有到达。`);
  }
  const left = percent(Math.max(factor(α, β), factor(α * κ, β)));
  return both(
    `${english} arrives after <b>${countText(steps)}</b> steps; a step shrinks the slower direction to ${left}.`,
    `${chinese}用 <b>${countText(steps)}</b> 步到达，较慢的方向每步缩到 ${left}。`,
  );
}

function compared(ratio) {
  if (!(ratio > 0 && ratio < Infinity)) return "";
  if (ratio >= 1) {
    const times = numberText(ratio);
    return both(`SGD needs <b>${times}</b> times momentum's steps.`, `SGD 的步数是动量的 <b>${times}</b> 倍。`);
  }
  const times = numberText(1 / ratio);
  return both(
    `Momentum needs <b>${times}</b> times SGD's steps: this ravine is too mild for this β.`,
    `动量的步数是 SGD 的 <b>${times}</b> 倍：对这个 β 来说，峡谷太平缓。`,
  );
}
