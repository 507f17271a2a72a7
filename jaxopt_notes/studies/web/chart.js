// Charts. An axis is { low, high, log }. A curve is { points, look }, with `dots` for single points
// and `stems` for bars from the bottom. A mark is a line across the chart, { x, text } or { y, text },
// with its text at `near` on the other axis; or { ring: [x, y], text }, where something is to be seen.
const MARGIN = { left: 44, right: 12, top: 9, bottom: 22 };
const TITLE = 11;

function drawChart(canvas, { title = "", x, y, curves, marks = [] }) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  const pen = penOf(canvas);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top + (title ? TITLE : 0), height - MARGIN.bottom];
  const across = placer(x, left, right);
  const up = placer(y, bottom, top);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.lineWidth = 0.6;
  pen.fillStyle = theme().ink;
  pen.strokeStyle = theme().contour;
  pen.textAlign = "right";
  for (const value of ticksOf(y, (bottom - top) / 24)) {
    line(pen, [left, up(value)], [right, up(value)]);
    pen.fillText(tickText(value, y), left - 6, up(value) + 4);
  }
  pen.textAlign = "center";
  for (const value of ticksOf(x, (right - left) / 48)) pen.fillText(tickText(value, x), across(value), height - 6);
  pen.textAlign = "left";
  pen.fillText(title, left, 13);
  pen.save();
  pen.beginPath();
  pen.rect(left, top - 2, right - left, bottom - top + 4);
  pen.clip();
  for (const curve of curves) drawCurve(pen, curve, across, up, bottom);
  pen.restore();
  drawMarks(pen, marks, across, up, { left, right, top, bottom, width, height });
}

// Losses over steps, on a logarithmic scale. A curve is { losses, look }.
function drawCurves(canvas, curves, title) {
  const steps = Math.max(10, ...curves.map((curve) => curve.losses.length - 1));
  const [low, high] = decades(curves);
  drawChart(canvas, {
    title,
    x: { low: 0, high: steps },
    y: { low: 10 ** low, high: 10 ** high, log: true },
    curves: curves.map(({ losses, look }) => ({ points: losses.map((loss, t) => [t, loss]), look })),
  });
}

function drawCurve(pen, { points, look, dots, stems }, across, up, bottom) {
  pen.strokeStyle = pen.fillStyle = colourOf(look);
  pen.lineWidth = stems ? 1.5 : 2;
  pen.setLineDash(dots || stems ? [] : look.dashes.map((length) => 2 * length));
  pen.beginPath();
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) break;
    const at = [across(x), up(y)];
    if (stems) pen.moveTo(at[0], bottom);
    if (dots) {
      pen.moveTo(at[0] + 2.6, at[1]);
      pen.arc(...at, 2.6, 0, 2 * Math.PI);
    } else {
      pen.lineTo(...at);
    }
  }
  if (dots) pen.fill();
  else pen.stroke();
}

function drawMarks(pen, marks, across, up, { left, right, top, bottom, width, height }) {
  const taken = [];
  for (const { x, y, near, ring: at, text, look } of marks) {
    const isUpright = x !== undefined;
    const colour = look ? colourOf(look) : theme().ink;
    const place = at
      ? [across(at[0]), up(at[1])]
      : isUpright
        ? [across(x), near === undefined ? top + 10 : up(near)]
        : [near === undefined ? left : across(near), up(y)];
    if (!(place[0] >= left && place[0] <= right && place[1] >= top - 2 && place[1] <= bottom + 2)) continue;
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.setLineDash(at ? [] : [4, 3]);
    if (at) ring(pen, place, 5, "transparent", colour);
    else if (isUpright) line(pen, [place[0], top], [place[0], bottom]);
    else line(pen, [left, place[1]], [right, place[1]]);
    if (text) write(pen, text, isUpright ? [place[0] - 6, place[1]] : [place[0], place[1] - 11], width, height, taken, colour);
  }
  pen.setLineDash([]);
}

function line(pen, from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

// A value's place between two ends. What is 0 or less lies far below a logarithmic axis.
function placer({ low, high, log }, from, to) {
  const part = log
    ? (value) => Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low)
    : (value) => (value - low) / (high - low);
  return (value) => from + part(value) * (to - from);
}

// Whole powers of ten around the losses: at most 12 below the highest, at most 4 above the start.
function decades(curves) {
  const starts = curves.map((curve) => curve.losses[0]).filter((loss) => loss > 0);
  const ceiling = Math.max(1e-300, ...starts) * 1e4;
  const seen = curves.flatMap((curve) => curve.losses).filter((loss) => loss > 0 && loss <= ceiling);
  if (!seen.length) return [-1, 1];
  const [least, most] = seen.reduce(([a, b], loss) => [Math.min(a, loss), Math.max(b, loss)], [Infinity, 0]);
  const high = Math.ceil(Math.log10(most));
  return [Math.min(high - 1, Math.max(Math.floor(Math.log10(least)), high - 12)), high];
}

// Round values between an axis's ends, about as many as there is room for.
function ticksOf({ low, high, log }, room) {
  const [from, to] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const raw = (to - from) / Math.max(1, Math.min(5, room));
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = log ? Math.max(1, Math.ceil(raw - 1e-9)) : [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw * (1 - 1e-9));
  const first = Math.ceil(from / size - 1e-9);
  const values = Array.from({ length: Math.floor(to / size + 1e-9) - first + 1 }, (_, i) => (first + i) * size);
  return log ? values.map((power) => 10 ** power) : values;
}

function tickText(value, { log }) {
  if (!log || (value > 9e-3 && value < 2e3)) return numberText(value);
  return `10${String(Math.round(Math.log10(value))).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])}`;
}
