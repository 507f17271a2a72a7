// What marks a place on a map or a chart: a ring, a line, a text.
function ring(pen, [x, y], radius, fill, edge) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = 1.5;
  pen.stroke();
}


// Text beside a point, where no text stands yet, with a halo to be read over lines. `taken` holds
// the texts so far.
function write(pen, text, [x, y], width, height, taken, colour = theme().ink) {
  pen.font = "600 12.5px system-ui, sans-serif";
  const long = pen.measureText(text).width;
  const left = x + 12 + long > width - 6 ? Math.max(6, x - 12 - long) : x + 12;
  const free = (line) => !taken.some(([a, b, to]) => Math.abs(b - line) < 17 && a < left + long + 6 && left < to + 6);
  const rows = [0, -18, 18, -36, 36, -54, 54, -72, 72].map((shift) => y + shift + 4);
  const row = rows.find((line) => line > 16 && line < height - 20 && free(line)) ?? y + 4;
  taken.push([left, row, left + long]);
  pen.textAlign = "left";
  pen.lineWidth = 4;
  pen.strokeStyle = theme().page;
  pen.strokeText(text, left, row);
  pen.fillStyle = colour;
  pen.fillText(text, left, row);
}
