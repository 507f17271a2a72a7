// The controls. Paths are computed anew from the start whenever something is changed, up to the
// step that was reached: what is seen depends on the settings alone, which stand in the address.
const MOST_STEPS = 5000;
const SHOWN_AT_FIRST = 100;

// For each setting its letter, its word in the address, and how its slider moves.
const scales = {
  α: { letter: "α", word: "alpha", ...byFactors(-4, 1) },
  β: { letter: "β", word: "beta", ...nearOne() },
  β1: { letter: "β₁", word: "beta1", ...nearOne() },
  β2: { letter: "β₂", word: "beta2", ...nearOne() },
  ε: { letter: "ε", word: "eps", ...byFactors(-10, 0) },
  decoupled: { letter: "λ", word: "decay", ...byFactors(-4, 0) },
};

const page = {
  canvas: document.getElementById("plane"),
  curves: document.getElementById("curves"),
  together: document.getElementById("together"),
  rows: [...document.querySelectorAll(".optimizer")],
  first: [...document.querySelectorAll(".optimizer [type=checkbox]:checked")],
};
const now = { landscape: "ravine", start: [], settings: {}, walkers: {} };
const sliders = {};

function defaultsOf(name, landscape) {
  const rate = landscapes[landscape].rates[name] ?? 0.05;
  return { ...rules[name].settings, α: rate };
}

// The landscape with the settings that suit it.
function choose(landscape) {
  Object.assign(now, { landscape, start: [...landscapes[landscape].start], walkers: {} });
  for (const name in rules) now.settings[name] = defaultsOf(name, landscape);
  document.querySelector(`[name=landscape][value=${landscape}]`).checked = true;
  for (const text of document.querySelectorAll("[data-landscape]")) {
    text.hidden = text.dataset.landscape !== landscape;
  }
  page.rows.forEach(showSettings);
}

function afresh() {
  now.walkers = {};
  show();
}

function isOn(row) {
  return row.dataset.name in rules && row.querySelector("[type=checkbox]").checked;
}

function show() {
  const landscape = landscapes[now.landscape];
  const walkers = [];
  for (const row of page.rows) {
    const { name } = row.dataset;
    row.dataset.walking = isOn(row);
    if (isOn(row)) {
      if (now.walkers[name]?.path.length > player.steps + 1) delete now.walkers[name];
      const walker = (now.walkers[name] ??= { name, ...begin(rules[name], now.start) });
      while (walker.path.length <= player.steps) advance(walker, landscape, now.settings[name]);
      walkers.push(walker);
      readOut(row, walker, landscape);
    } else {
      delete now.walkers[name];
      delete row.dataset.fate;
      for (const place of row.querySelectorAll("[data-read]")) place.textContent = "";
    }
  }
  const paths = walkers.map(({ name, path }) => ({ points: path, look: looks[name] }));
  drawPlane(page.canvas, landscape, paths, now.start, player.steps);
  const zh = root.dataset.language === "zh";
  const curves = walkers.map(({ name, path }) => ({
    losses: path.map((theta, t) => landscape.loss(theta, t)),
    look: looks[name],
  }));
  drawCurves(page.curves, curves, zh ? "损失（对数坐标）随步数的变化" : "loss over steps, logarithmic");
  remember();
}

function readOut(row, walker, landscape) {
  const theta = walker.path[walker.path.length - 1];
  const away = landscape
    .minima(player.steps)
    .map((minimum) => Math.hypot(theta[0] - minimum[0], theta[1] - minimum[1]));
  const [left, right, bottom, top] = landscape.view;
  const far = 10 * (right - left);
  const isOutside = theta[0] < left || theta[0] > right || theta[1] < bottom || theta[1] > top;
  const lost = !theta.every((x) => Math.abs(x) < far);
  row.dataset.fate = lost ? "diverges" : isOutside ? "outside" : "";
  row.querySelector("[data-read=loss]").textContent = numberText(landscape.loss(theta, player.steps));
  row.querySelector("[data-read=distance]").textContent = numberText(Math.min(...away));
}

function buildRow(row) {
  const { name } = row.dataset;
  const place = row.querySelector(".sliders");
  place.replaceChildren();
  sliders[name] = {};
  for (const key of ["α", ...Object.keys(rules[name].settings)]) {
    const built = buildSlider(scales[key], (value) => set(name, key, value));
    built.slider.dataset.key = key;
    sliders[name][key] = built;
    place.append(built.label);
  }
}

function set(name, key, value) {
  for (const row of page.rows) {
    const settings = now.settings[row.dataset.name];
    if (!(settings && key in settings)) continue;
    if (!(page.together.checked || row.dataset.name === name)) continue;
    settings[key] = value;
    showSettings(row);
  }
  afresh();
}

function showSettings(row) {
  const settings = now.settings[row.dataset.name];
  if (!settings) return;
  for (const [key, slider] of Object.entries(sliders[row.dataset.name])) slider.show(settings[key]);
  row.querySelector("summary").textContent = Object.keys(scales)
    .filter((key) => key in settings)
    .map((key) => `${scales[key].letter} ${exactly(settings[key])}`)
    .join(" · ");
}

// The reader's own rule becomes one of the optimizers.
function adopt(rule) {
  const row = document.querySelector("[data-name=own]");
  rules.own = rule;
  row.hidden = false;
  row.querySelector("[type=checkbox]").checked = true;
  const before = now.settings.own ?? {};
  now.settings.own = defaultsOf("own", now.landscape);
  for (const key in now.settings.own) now.settings.own[key] = before[key] ?? now.settings.own[key];
  buildRow(row);
  showSettings(row);
  afresh();
}

function load() {
  const state = readAddress();
  const { on, start = "" } = state;
  choose(state.landscape in landscapes ? state.landscape : "ravine");
  loadOwn(state);
  for (const row of page.rows) {
    const box = row.querySelector("[type=checkbox]");
    box.checked = on === undefined ? page.first.includes(box) : on.split(",").includes(row.dataset.name);
  }
  for (const name in rules) {
    for (const key in now.settings[name]) {
      now.settings[name][key] = numberOr(state[`${name}.${scales[key].word}`], now.settings[name][key]);
    }
  }
  const at = start.split(",").map(Number);
  if (start && at.length === 2 && at.every(Number.isFinite)) now.start = at;
  page.rows.forEach(showSettings);
  now.walkers = {};
  to(numberOr(state.steps, SHOWN_AT_FIRST));
}

function remember() {
  const state = { landscape: now.landscape };
  const on = page.rows.filter(isOn).map((row) => row.dataset.name);
  state.on = on.join(",");
  const first = landscapes[now.landscape].start;
  if (now.start.some((x, i) => x !== first[i])) state.start = now.start.map((x) => +x.toFixed(4)).join(",");
  if (!isPlaying()) state.steps = player.steps;
  for (const name of on) {
    const usual = defaultsOf(name, now.landscape);
    for (const [key, value] of Object.entries(now.settings[name])) {
      if (value !== usual[key]) state[`${name}.${scales[key].word}`] = value;
    }
  }
  writeAddress({ ...state, ...rememberOwn() });
}

movableStart(page.canvas, {
  view: () => landscapes[now.landscape].view,
  start: () => now.start,
  moved(start) {
    now.start = start;
    afresh();
  },
  // Whoever wants no motion sees at once where the paths lead.
  begun(start) {
    now.start = start;
    now.walkers = {};
    player.steps = 0;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) to(SHOWN_AT_FIRST);
    else play(true);
  },
});
document.getElementById("defaults").addEventListener("click", () => {
  choose(now.landscape);
  afresh();
});
for (const choice of document.querySelectorAll("[name=landscape]")) {
  choice.addEventListener("change", () => {
    choose(choice.value);
    afresh();
  });
}
for (const row of page.rows) {
  if (row.dataset.name in rules) buildRow(row);
  row.querySelector("[type=checkbox]").addEventListener("change", show);
}
Object.assign(player, { most: MOST_STEPS, show });
addEventListener("hashchange", load);
addEventListener("language", show);
darkness.addEventListener("change", show);
load();
new ResizeObserver(show).observe(page.canvas);
