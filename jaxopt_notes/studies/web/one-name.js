// The race of the five frameworks. What is seen depends on `now` alone, which stands in the address.
const MOST_STEPS = 400;
const DROP_AT = 30;
const VISIBLE = 0.01; // of the map's width

// The numbers that may be set for all, by letter: how their sliders move, and their address's name.
const numbered = {
  β: { letter: "β", word: "beta", ...nearOne() },
  β1: { letter: "β₁", word: "beta1", ...nearOne() },
  β2: { letter: "β₂", word: "beta2", ...nearOne() },
  μ: { letter: "μ", word: "mu", ...nearOne() },
  ε: { letter: "ε", word: "eps", ...byFactors(-12, 0) },
};
const shared = {
  α: { letter: "α", word: "alpha", ...byFactors(-4, 0.5) },
  scale: { letter: both("gradient scale", "梯度缩放"), word: "scale", ...byFactors(-8, 2) },
};

const page = {
  canvas: document.getElementById("plane"),
  curves: document.getElementById("curves"),
  finding: document.getElementById("finding"),
  sliders: document.getElementById("sliders"),
  drop: document.getElementById("drop"),
  rows: [...document.querySelectorAll(".framework")],
};
const now = {};
let sliders = {};

// `numbers` holds what is set for all, `agreed` the frameworks that were made to follow.
function load() {
  const address = readAddress();
  now.family = address.name in families ? address.name : "rmsprop";
  now.landscape = address.landscape in landscapes ? address.landscape : "ravine";
  now.follow = address.follow in names ? address.follow : "torch";
  now.α = numberOr(address.alpha, families[now.family].rate);
  now.scale = numberOr(address.scale, firstScale());
  now.drop = address.drop === "1" ? DROP_AT : 0;
  now.agreed = (address.agreed ?? "").split(",").filter((name) => name in names);
  now.numbers = {};
  for (const letter of families[now.family].sliders) {
    const value = numberOr(address[numbered[letter].word], undefined);
    if (value !== undefined) now.numbers[letter] = value;
  }
  const at = (address.start ?? "").split(",").map(Number);
  now.start = at.length === 2 && at.every(Number.isFinite) ? at : [...landscapes[now.landscape].start];
  build();
  to(numberOr(address.steps, 200));
}

// Where gradients are small the places of ε show; plain momentum would only be slow there.
function firstScale() {
  return now.family === "momentum" ? 1 : 1e-3;
}

function build() {
  sliders = {};
  page.sliders.replaceChildren();
  const all = { ...shared, ...Object.fromEntries(families[now.family].sliders.map((l) => [l, numbered[l]])) };
  for (const [letter, scale] of Object.entries(all)) {
    sliders[letter] = buildSlider(scale, (value) => {
      if (letter in shared) now[letter] = value;
      else now.numbers[letter] = value;
      show();
    });
    page.sliders.append(sliders[letter].label);
  }
  for (const group of ["family", "landscape", "follow"]) {
    document.querySelector(`[name=${group}][value=${now[group]}]`).checked = true;
  }
  page.drop.checked = Boolean(now.drop);
}

// What each framework walks by: its own terms, or those of the line that makes it agree.
function walkers() {
  return Object.keys(names).map((name) => {
    const line = name === now.follow ? null : agreement(now.family, name, now.follow, now.numbers, now);
    const agreed = line && now.agreed.includes(name);
    const terms = agreed ? line.terms : termsOf(now.family, name, now.numbers);
    const { equation } = families[now.family][name];
    const steps = Math.max(player.steps, 1);
    const path = race(equation, terms, landscapes[now.landscape], { ...now, steps });
    return { name, line, agreed, terms, equation, path: path.slice(0, player.steps + 1) };
  });
}

function show() {
  const landscape = landscapes[now.landscape];
  const five = walkers();
  const [left, right] = landscape.view;
  const groups = forks(Object.fromEntries(five.map((w) => [w.name, w.path])), VISIBLE * (right - left));
  const zh = root.dataset.language === "zh";
  const label = (group) => group.names.map((name) => names[name][zh ? 1 : 0]).join(" · ");
  const paths = groups.map((group) => ({
    points: group.path,
    look: looks[group.names[0]],
    label: label(group),
  }));
  const marks = groups
    .filter((group) => group.parts !== undefined)
    .map((group) => ({
      at: group.path[Math.max(group.parts - 1, 0)],
      text: zh ? `第 ${group.parts} 步分开` : `part at step ${group.parts}`,
    }));
  drawPlane(page.canvas, landscape, paths, now.start, player.steps, distinct(marks));
  const losses = groups.map((group) => ({
    losses: group.path.map((theta) => landscape.loss(theta, 0)),
    look: looks[group.names[0]],
  }));
  drawCurves(page.curves, losses, zh ? "损失（对数坐标）随步数的变化" : "loss over steps, logarithmic");
  page.finding.setAttribute("aria-live", isPlaying() ? "off" : "polite");
  page.finding.innerHTML = finding(groups);
  for (const walker of five) showRow(walker, landscape);
  showSliders(five);
  remember();
}

// Groups that part at the same step have one mark.
function distinct(marks) {
  return marks.filter((mark, i) => marks.findIndex((other) => other.text === mark.text) === i);
}

function remember() {
  const first = landscapes[now.landscape].start;
  const numbers = Object.entries(now.numbers).map(([letter, value]) => [numbered[letter].word, value]);
  writeAddress({
    name: now.family,
    landscape: now.landscape,
    follow: now.follow,
    alpha: now.α,
    scale: now.scale,
    drop: now.drop ? 1 : undefined,
    agreed: now.agreed.length ? now.agreed.join(",") : undefined,
    ...Object.fromEntries(numbers),
    start: now.start.every((x, i) => x === first[i]) ? undefined : now.start.map((x) => +x.toFixed(4)).join(","),
    steps: isPlaying() ? undefined : player.steps,
  });
}

function copy(code) {
  const range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).catch(() => {});
  else document.execCommand("copy"); // pages that are not from a safe origin have no other way
}

for (const row of page.rows) {
  const { framework } = row.dataset;
  row.querySelector(".copy").addEventListener("click", () => copy(row.querySelector("code")));
  row.querySelector(".agree").addEventListener("click", () => {
    const others = now.agreed.filter((name) => name !== framework);
    now.agreed = now.agreed.includes(framework) ? others : [...others, framework];
    show();
  });
}
for (const button of document.querySelectorAll("[data-defaults]")) {
  button.addEventListener("click", () => {
    const { defaults } = button.dataset;
    const terms = defaults ? termsOf(now.family, defaults, {}) : {};
    const set = families[now.family].sliders.filter((letter) => defaults && (letter in terms || letter === "μ"));
    now.numbers = Object.fromEntries(set.map((letter) => [letter, terms[letter] ?? 0]));
    show();
  });
}
for (const choice of document.querySelectorAll("[name=family]")) {
  choice.addEventListener("change", () => {
    Object.assign(now, { family: choice.value, numbers: {}, agreed: [], α: families[choice.value].rate });
    now.scale = firstScale();
    build();
    show();
  });
}
for (const choice of document.querySelectorAll("[name=landscape]")) {
  choice.addEventListener("change", () => {
    Object.assign(now, { landscape: choice.value, start: [...landscapes[choice.value].start] });
    show();
  });
}
for (const choice of document.querySelectorAll("[name=follow]")) {
  choice.addEventListener("change", () => {
    Object.assign(now, { follow: choice.value, agreed: [] });
    show();
  });
}
document.getElementById("all").addEventListener("click", () => {
  now.agreed = Object.keys(names).filter((name) => name !== now.follow);
  show();
});
document.getElementById("undo").addEventListener("click", () => {
  now.agreed = [];
  show();
});
page.drop.addEventListener("change", () => {
  now.drop = page.drop.checked ? DROP_AT : 0;
  show();
});
movableStart(page.canvas, {
  view: () => landscapes[now.landscape].view,
  start: () => now.start,
  moved(start) {
    now.start = start;
    show();
  },
  begun(start) {
    now.start = start;
    player.steps = 0;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) to(200);
    else play(true);
  },
});
Object.assign(player, { most: MOST_STEPS, show });
addEventListener("hashchange", load);
addEventListener("language", show);
darkness.addEventListener("change", show);
load();
new ResizeObserver(show).observe(page.canvas);
