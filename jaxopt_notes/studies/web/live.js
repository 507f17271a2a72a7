// What the live figures share: sliders, the line beneath, the reset button. A figure has `sliders`
// (for each setting how it moves and its `first` value), `others` (settings without a slider),
// `show`, which draws the settings and returns the line, and, if it can choose learning rates,
// `best`, which returns them; sliders of such rates are `chosen`.
const live = {
  settings: {},
  sliders: {},
  place: document.getElementById("live-sliders"),
  seen: document.getElementById("live-seen"),
  best: document.getElementById("live-best"),
};

function startFigure({ sliders, others = {}, best, show }) {
  const firsts = Object.fromEntries(Object.entries(sliders).map(([key, { first }]) => [key, first]));
  const draw = () => (live.seen.innerHTML = show(live.settings));
  const apply = (settings) => {
    Object.assign(live.settings, settings);
    if (live.best?.checked) Object.assign(live.settings, best(live.settings));
    for (const key in sliders) live.sliders[key].show(live.settings[key]);
    draw();
  };
  live.set = (settings) => {
    if (live.best && Object.keys(settings).some((key) => sliders[key]?.chosen)) live.best.checked = false;
    apply(settings);
  };
  const reset = () => {
    if (live.best) live.best.checked = true;
    apply({ ...firsts, ...others });
  };
  for (const key in sliders) {
    live.sliders[key] = buildSlider(sliders[key], (value) => live.set({ [key]: value }));
    live.sliders[key].slider.dataset.key = key;
    live.place.append(live.sliders[key].label);
  }
  live.best?.addEventListener("change", () => apply({}));
  document.getElementById("live-reset").addEventListener("click", reset);
  addEventListener("language", draw);
  darkness.addEventListener("change", draw);
  reset();
  new ResizeObserver(draw).observe(live.place);
}

function canvasOf(part) {
  return document.querySelector(`.live [data-part=${part}]`);
}

// A text on a canvas, in the page's language.
function tell(english, chinese) {
  return document.documentElement.dataset.language === "zh" ? chinese : english;
}

// Sentences, each in both languages, one after the other.
function sentences(...texts) {
  return texts.filter(Boolean).join(both(" ", ""));
}

function percent(share) {
  return `${numberText(100 * share)}\u00a0%`;
}

// About so many whole steps from `from` to `to`, evenly by factors.
function thinned(from, to, count = 60) {
  const steps = Array.from({ length: count + 1 }, (_, i) => Math.round(from * (to / from) ** (i / count)));
  return [...new Set(steps)];
}

// About so many whole steps from 0 to `to`, evenly.
function spaced(to, count = 40) {
  const steps = Array.from({ length: count + 1 }, (_, i) => Math.round((to * i) / count));
  return [...new Set(steps)];
}
