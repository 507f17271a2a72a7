// Draws on the canvas: the landscape, its contours, and the paths over them.
const COLUMNS = 140;
const ROWS = 105;
const LEVELS = 18;
const INK = "#444444";

function drawPlane(canvas, landscape, walkers, looks, start, t) {
  const dots = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  pen.lineJoin = "round";
  const [left, right, bottom, top] = landscape.view;
  const place = ([x, y]) => [
    ((x - left) / (right - left)) * width,
    ((top - y) / (top - bottom)) * height,
  ];
  drawHeights(pen, landscape, t, width, height);
  drawScale(pen, landscape.view, place, width, height);
  for (const minimum of landscape.minima(t)) cross(pen, place(minimum));
  for (const walker of walkers) drawPath(pen, walker.path.map(place), looks[walker.name]);
  ring(pen, place(start), 6, "#ffffff");
  for (const walker of walkers) {
    const end = place(walker.path[walker.path.length - 1]);
    if (end.every(Number.isFinite)) ring(pen, end, 5, looks[walker.name].colour);
  }
}

// Losses on a grid, row by row from the top.
function heights(landscape, t) {
  const [left, right, bottom, top] = landscape.view;
  const rows = [];
  for (let j = 0; j < ROWS; j++) {
    const y = top + ((bottom - top) * j) / (ROWS - 1);
    rows.push(
      Array.from({ length: COLUMNS }, (_, i) =>
        landscape.loss([left + ((right - left) * i) / (COLUMNS - 1), y], t),
      ),
    );
  }
  return rows;
}

// Levels that divide the plane, not the losses, evenly, and closer in the lowlands; those of t = 0.
function levelsOf(landscape) {
  const sorted = heights(landscape, 0).flat().sort((a, b) => a - b);
  return Array.from({ length: LEVELS }, (_, k) =>
    sorted[Math.floor(sorted.length * ((k + 0.6) / LEVELS) ** 2)],
  );
}

// What does not move is drawn once for each size.
function drawHeights(pen, landscape, t, width, height) {
  const kept = landscape.picture;
  if (landscape.moves || kept?.width !== pen.canvas.width || kept.height !== pen.canvas.height) {
    landscape.picture = new OffscreenCanvas(pen.canvas.width, pen.canvas.height);
    const under = landscape.picture.getContext("2d");
    under.setTransform(pen.getTransform());
    landscape.levels ??= levelsOf(landscape);
    const rows = heights(landscape, t);
    drawShade(under, rows, landscape.levels, width, height);
    drawContours(under, rows, landscape.levels, width, height);
  }
  pen.drawImage(landscape.picture, 0, 0, width, height);
}

function drawShade(pen, rows, levels, width, height) {
  const shade = new OffscreenCanvas(COLUMNS, ROWS);
  const small = shade.getContext("2d");
  const image = small.createImageData(COLUMNS, ROWS);
  rows.flat().forEach((loss, n) => {
    let above = 0;
    while (above < LEVELS && levels[above] < loss) above++;
    const part = above / LEVELS;
    image.data.set([255 - 45 * part, 255 - 33 * part, 255 - 18 * part, 255], 4 * n);
  });
  small.putImageData(image, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(shade, 0, 0, width, height);
}

function drawContours(pen, rows, levels, width, height) {
  pen.strokeStyle = "#8796a8";
  pen.lineWidth = 0.7;
  pen.beginPath();
  const [across, down] = [width / (COLUMNS - 1), height / (ROWS - 1)];
  for (let j = 0; j < ROWS - 1; j++) {
    for (let i = 0; i < COLUMNS - 1; i++) {
      const corners = [
        [i, j, rows[j][i]],
        [i + 1, j, rows[j][i + 1]],
        [i + 1, j + 1, rows[j + 1][i + 1]],
        [i, j + 1, rows[j + 1][i]],
      ];
      const low = Math.min(...corners.map((corner) => corner[2]));
      const high = Math.max(...corners.map((corner) => corner[2]));
      for (const level of levels) {
        if (low < level && level <= high) contour(pen, corners, level, across, down);
      }
    }
  }
  pen.stroke();
}

// A level's line through one square of the grid: straight between the edges that it cuts.
function contour(pen, corners, level, across, down) {
  let cuts = 0;
  for (let k = 0; k < 4; k++) {
    const [i, j, a] = corners[k];
    const [m, n, b] = corners[(k + 1) % 4];
    if (a < level === b < level) continue;
    const s = (level - a) / (b - a);
    const [x, y] = [(i + s * (m - i)) * across, (j + s * (n - j)) * down];
    if (cuts % 2) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    cuts += 1;
  }
}

function drawScale(pen, [left, right, bottom, top], place, width, height) {
  pen.fillStyle = INK;
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let x = Math.ceil(left); x < right; x++) {
    const [at] = place([x, 0]);
    pen.fillRect(at - 0.5, height - 5, 1, 5);
    if (at > 30 && at < width - 30) pen.fillText(signed(x), at, height - 9);
  }
  pen.fillText("x", width - 10, height - 9);
  pen.textAlign = "left";
  for (let y = Math.ceil(bottom); y < top; y++) {
    const [, at] = place([0, y]);
    pen.fillRect(0, at - 0.5, 5, 1);
    if (at > 24 && at < height - 24) pen.fillText(signed(y), 9, at + 4);
  }
  pen.fillText("y", 8, 15);
}

function signed(n) {
  return String(n).replace("-", "−");
}

function drawPath(pen, points, look) {
  const far = 1e5; // what is so far outside has left for good
  pen.strokeStyle = look.colour;
  pen.lineWidth = 2;
  pen.setLineDash(look.dashes.map((length) => 2 * length));
  pen.beginPath();
  for (const [x, y] of points) {
    if (!(Math.abs(x) < far && Math.abs(y) < far)) break;
    pen.lineTo(x, y);
  }
  pen.stroke();
  pen.setLineDash([]);
}

function ring(pen, [x, y], radius, fill) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = fill === "#ffffff" ? INK : "#ffffff";
  pen.lineWidth = 1.5;
  pen.stroke();
}

function cross(pen, [x, y]) {
  pen.strokeStyle = INK;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const s of [-1, 1]) {
    pen.moveTo(x - 6, y - 6 * s);
    pen.lineTo(x + 6, y + 6 * s);
  }
  pen.stroke();
}
