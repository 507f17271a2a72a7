// Losses over steps, on a logarithmic scale. A curve is { losses, look }.
const MARGIN = { left: 44, right: 12, top: 20, bottom: 22 };

function drawCurves(canvas, curves, title) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  const pen = penOf(canvas);
  const { ink, contour } = theme();
  const steps = Math.max(10, ...curves.map((curve) => curve.losses.length - 1));
  const [low, high] = decades(curves);
  const x = (t) => MARGIN.left + (t / steps) * (width - MARGIN.left - MARGIN.right);
  const part = (loss) => (Math.log10(Math.max(loss, 1e-300)) - low) / (high - low);
  const y = (loss) => height - MARGIN.bottom - part(loss) * (height - MARGIN.top - MARGIN.bottom);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.lineWidth = 0.6;
  pen.fillStyle = ink;
  pen.strokeStyle = contour;
  pen.textAlign = "right";
  const room = Math.max(1, Math.floor((height - MARGIN.top - MARGIN.bottom) / 24));
  const every = Math.ceil((high - low) / room);
  for (let power = low; power <= high; power += every) {
    const at = y(10 ** power);
    pen.beginPath();
    pen.moveTo(MARGIN.left, at);
    pen.lineTo(width - MARGIN.right, at);
    pen.stroke();
    pen.fillText(power ? `10${high10(power)}` : "1", MARGIN.left - 6, at + 4);
  }
  pen.textAlign = "center";
  for (const t of ticks(steps)) pen.fillText(t, x(t), height - 6);
  pen.textAlign = "left";
  pen.fillText(title, MARGIN.left, 13);
  pen.beginPath();
  pen.rect(MARGIN.left, MARGIN.top - 2, width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom + 4);
  pen.clip();
  for (const { losses, look } of curves) {
    pen.strokeStyle = colourOf(look);
    pen.lineWidth = 2;
    pen.setLineDash(look.dashes.map((length) => 2 * length));
    pen.beginPath();
    for (let t = 0; t < losses.length && Number.isFinite(losses[t]); t++) pen.lineTo(x(t), y(losses[t]));
    pen.stroke();
  }
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

function ticks(steps) {
  const raw = steps / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  return Array.from({ length: Math.floor(steps / size) + 1 }, (_, i) => Math.round(i * size));
}

function high10(power) {
  return String(power).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
}
