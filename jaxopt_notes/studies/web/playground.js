// The controls. Paths are computed anew from the start whenever something is changed, up to the
// step that was reached: what is seen depends on the settings alone, not on how they came about.
const MOST_STEPS = 5000;
const SHOWN_AT_FIRST = 100;

// For each setting its letter, and how its slider, which moves evenly, becomes its value.
const scales = {
  rate: { letter: "α", ...byFactors(-4, 1) },
  beta: { letter: "β", ...nearOne() },
  beta1: { letter: "β₁", ...nearOne() },
  beta2: { letter: "β₂", ...nearOne() },
  eps: { letter: "ε", ...byFactors(-10, 0) },
  decay: { letter: "λ", ...byFactors(-4, 0) },
};

function byFactors(low, high) {
  return { low, high, value: (at) => rounded(10 ** at), at: (value) => Math.log10(value) };
}

// Evenly in the memory 1 / (1 − β), by factors: from 1 step to 10,000.
function nearOne() {
  return {
    low: 0,
    high: 4,
    value: (at) => Number((1 - rounded(10 ** -at)).toPrecision(6)),
    at: (value) => -Math.log10(1 - value),
  };
}

function rounded(x) {
  return Number(x.toPrecision(2));
}

const page = {
  canvas: document.getElementById("plane"),
  play: document.getElementById("play"),
  together: document.getElementById("together"),
  speed: document.getElementById("speed"),
  pace: document.getElementById("pace"),
  rows: [...document.querySelectorAll(".optimizer")],
};
const now = { landscape: "ravine", start: [], steps: SHOWN_AT_FIRST, settings: {}, walkers: {} };

function choose(name) {
  now.landscape = name;
  now.start = [...landscapes[name].start];
  for (const rule in rules) {
    now.settings[rule] = { ...rules[rule].settings, rate: landscapes[name].rates[rule] };
  }
  for (const told of document.querySelectorAll("[data-landscape]")) {
    told.hidden = told.dataset.landscape !== name;
  }
  page.rows.forEach(showSettings);
  afresh();
}

function afresh() {
  now.walkers = {};
  show();
}

function show() {
  const landscape = landscapes[now.landscape];
  const walkers = [];
  for (const row of page.rows) {
    const { name } = row.dataset;
    const walking = row.querySelector("[type=checkbox]").checked;
    row.dataset.walking = walking;
    if (walking) {
      const walker = (now.walkers[name] ??= begin(name, now.start));
      while (walker.path.length <= now.steps) advance(walker, landscape, now.settings[name]);
      walkers.push(walker);
      readOut(row, walker, landscape);
    } else {
      delete now.walkers[name];
      for (const place of row.querySelectorAll("[data-read]")) place.textContent = "";
    }
  }
  drawPlane(page.canvas, landscape, walkers, looks, now.start, now.steps);
  document.getElementById("steps").textContent = now.steps;
}

function readOut(row, walker, landscape) {
  const theta = walker.path[walker.path.length - 1];
  const away = landscape
    .minima(now.steps)
    .map((minimum) => Math.hypot(theta[0] - minimum[0], theta[1] - minimum[1]));
  row.querySelector("[data-read=loss]").textContent = told(landscape.loss(theta, now.steps));
  row.querySelector("[data-read=distance]").textContent = told(Math.min(...away));
}

// A number to three digits; powers of ten as they are written by hand.
function told(x) {
  if (!Number.isFinite(x)) return "∞";
  if (x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4)) return String(+x.toPrecision(3));
  const [digits, power] = x.toExponential(1).split("e");
  const high = power.replace("+", "").replace("-", "⁻");
  return `${digits} × 10${high.replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])}`;
}

// A setting with all the digits that it has.
function exactly(x) {
  return x !== 0 && x < 1e-3 ? told(x).replace(/^(\d)\.0/, "$1").replace(/^1 × /, "") : String(x);
}

function buildRow(row) {
  const { name } = row.dataset;
  const sliders = row.querySelector(".sliders");
  for (const key of ["rate", ...Object.keys(rules[name].settings)]) {
    const { letter, low, high, value } = scales[key];
    const label = document.createElement("label");
    const slider = document.createElement("input");
    const shown = document.createElement("output");
    Object.assign(slider, { type: "range", min: low, max: high, step: (high - low) / 200 });
    slider.dataset.key = key;
    slider.addEventListener("input", () => set(name, key, value(Number(slider.value))));
    label.append(letter, slider, shown);
    sliders.append(label);
  }
  row.querySelector("[type=checkbox]").addEventListener("change", show);
}

function set(name, key, value) {
  for (const row of page.rows) {
    const settings = now.settings[row.dataset.name];
    if (!(key in settings) || !(page.together.checked || row.dataset.name === name)) continue;
    settings[key] = value;
    showSettings(row);
  }
  afresh();
}

function showSettings(row) {
  const settings = now.settings[row.dataset.name];
  for (const slider of row.querySelectorAll("[data-key]")) {
    const { key } = slider.dataset;
    const text = exactly(settings[key]);
    if (scales[key].value(Number(slider.value)) !== settings[key]) {
      slider.value = scales[key].at(settings[key]);
    }
    slider.setAttribute("aria-valuetext", text);
    slider.nextElementSibling.textContent = text;
  }
  row.querySelector("summary").textContent = Object.keys(scales)
    .filter((key) => key in settings)
    .map((key) => `${scales[key].letter} ${exactly(settings[key])}`)
    .join(" · ");
}

function pace() {
  return rounded(10 ** Number(page.speed.value));
}

function showPace() {
  page.pace.textContent = pace();
  page.speed.setAttribute("aria-valuetext", pace());
}

let last = 0;
let owed = 0;

function play(playing) {
  page.play.toggleAttribute("data-playing", playing);
  if (playing) {
    if (now.steps >= MOST_STEPS) now.steps = 0;
    [last, owed] = [performance.now(), 0];
    afresh();
    requestAnimationFrame(tick);
  }
}

function tick(time) {
  if (!page.play.hasAttribute("data-playing")) return;
  owed += (Math.max(0, Math.min(time - last, 100)) / 1000) * pace();
  last = time;
  const whole = Math.floor(owed);
  owed -= whole;
  if (whole) to(now.steps + whole);
  if (now.steps >= MOST_STEPS) play(false);
  else requestAnimationFrame(tick);
}

function to(steps) {
  const back = steps < now.steps;
  now.steps = Math.min(steps, MOST_STEPS);
  if (back) afresh();
  else show();
}

// Whoever wants no motion sees at once where the paths lead.
function startFrom(start) {
  now.start = start;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  now.steps = still ? SHOWN_AT_FIRST : 0;
  if (still) afresh();
  else play(true);
}

page.canvas.addEventListener("click", (event) => {
  const [left, right, bottom, top] = landscapes[now.landscape].view;
  const { width, height } = page.canvas.getBoundingClientRect();
  startFrom([
    left + ((right - left) * event.offsetX) / width,
    top + ((bottom - top) * event.offsetY) / height,
  ]);
});

page.canvas.addEventListener("keydown", (event) => {
  const [left, right, bottom, top] = landscapes[now.landscape].view;
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (event.key in move) {
    const [x, y] = move[event.key];
    const size = event.shiftKey ? 0.005 : 0.025;
    now.start = [now.start[0] + x * size * (right - left), now.start[1] + y * size * (top - bottom)];
    afresh();
  } else if (event.key === " " || event.key === "Enter") {
    startFrom(now.start);
  } else {
    return;
  }
  event.preventDefault();
});

page.play.addEventListener("click", () => play(!page.play.hasAttribute("data-playing")));
document.getElementById("step").addEventListener("click", () => {
  play(false);
  to(now.steps + 1);
});
document.getElementById("reset").addEventListener("click", () => {
  play(false);
  to(0);
});
document.getElementById("defaults").addEventListener("click", () => choose(now.landscape));
for (const choice of document.querySelectorAll("[name=landscape]")) {
  choice.addEventListener("change", () => choose(choice.value));
}
page.speed.addEventListener("input", showPace);
showPace();
page.rows.forEach(buildRow);
choose(document.querySelector("[name=landscape]:checked").value);
new ResizeObserver(show).observe(page.canvas);
