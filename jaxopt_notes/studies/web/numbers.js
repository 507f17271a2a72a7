// How numbers are written and how sliders move through them; how a text is given in both languages.

// A number to three digits; powers of ten as they are written by hand.
function numberText(x) {
  if (!Number.isFinite(x)) return "∞";
  if (x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4)) {
    return String(+x.toPrecision(3)).replace("-", "−");
  }
  const [digits, power] = x.toExponential(1).split("e");
  const high = power.replace("+", "").replace("-", "⁻");
  return `${digits} × 10${high.replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])}`;
}

// A whole number, its thousands apart.
function countText(n) {
  return Number.isFinite(n) ? String(n).replace(/\B(?=(\d{3})+$)/g, ",") : "∞";
}

// A setting with all the digits that it has.
function exactly(x) {
  return x !== 0 && x < 1e-3 ? numberText(x).replace(/^(\d)\.0/, "$1").replace(/^1 × /, "") : String(x);
}

// A slider moves evenly; `value` turns its place into a setting, by factors.
function byFactors(low, high, digits = 2) {
  return { low, high, value: (at) => rounded(10 ** at, digits), at: (value) => Math.log10(value) };
}

// Evenly between two numbers, in steps.
function evenly(low, high, step) {
  return { low, high, step, value: (at) => rounded(at, 6), at: (value) => value };
}

// Evenly in the memory 1 / (1 − β), by factors: from 1 step to 10,000.
function nearOne() {
  return {
    low: 0,
    high: 4,
    step: 0.02,
    value: (at) => Number((1 - rounded(10 ** -at)).toPrecision(6)),
    at: (value) => -Math.log10(1 - value),
  };
}

function rounded(x, digits = 2) {
  return Number(x.toPrecision(digits));
}

// A slider with its letter and its value; `moved` is called with each new setting.
function buildSlider({ letter, low, high, step, value, at }, moved) {
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const shown = document.createElement("output");
  Object.assign(slider, { type: "range", min: low, max: high, step: step ?? (high - low) / 200 });
  slider.addEventListener("input", () => moved(value(Number(slider.value))));
  const name = document.createElement("span");
  name.innerHTML = letter;
  label.append(name, slider, shown);
  const show = (setting, text = exactly(setting)) => {
    if (value(Number(slider.value)) !== setting) slider.value = at(setting);
    slider.setAttribute("aria-valuetext", text);
    shown.textContent = text;
  };
  return { label, slider, show };
}

// A text in both languages as HTML; the page shows one of them.
function both(english, chinese) {
  return `<span lang="en">${english}</span><span lang="zh-CN">${chinese}</span>`;
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}
