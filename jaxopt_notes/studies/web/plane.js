// Draws on the canvas: the landscape, its contours, and the paths over them. A path is
// { points, look, label }; a mark is { at, text }, where something is to be seen. The axes are x and
// y, or the landscape's `names`.
const COLUMNS = 140;
const ROWS = 105;
const LEVELS = 18;

function drawPlane(canvas, landscape, paths, start, t, marks = []) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  const pen = penOf(canvas);
  const [left, right, bottom, top] = landscape.view;
  const place = ([x, y]) => [
    ((x - left) / (right - left)) * width,
    ((top - y) / (top - bottom)) * height,
  ];
  drawHeights(pen, landscape, t, width, height);
  drawScale(pen, landscape, place, width, height);
  for (const minimum of landscape.minima(t)) cross(pen, place(minimum));
  const placed = paths.map((path) => ({ ...path, points: path.points.map(place) }));
  for (const { points, look } of placed) drawPath(pen, points, look);
  ring(pen, place(start), 6, "#ffffff", "#333333");
  for (const { points, look } of placed) drawEnd(pen, points, colourOf(look), width, height);
  const taken = [];
  for (const { at, text } of marks) {
    ring(pen, place(at), 5, "transparent", theme().ink);
    write(pen, text, place(at), width, height, taken);
  }
  for (const { points, label, look } of placed) {
    const end = label && points.findLast((p) => isInside(p, width, height));
    if (end) write(pen, label, end, width, height, taken, colourOf(look));
  }
}

function isInside([x, y], width, height) {
  return x >= 0 && x <= width && y >= 0 && y <= height;
}

// A path's end is a dot; where it lies outside, an arrow shows where the path has left the map.
function drawEnd(pen, points, colour, width, height) {
  const end = points[points.length - 1];
  if (isInside(end, width, height)) return ring(pen, end, 5, colour, theme().page);
  const last = points.findLastIndex((p) => isInside(p, width, height));
  const [from, to] = [points[Math.max(last, 0)], points[Math.max(last, 0) + 1]];
  if (last < 0 || !to?.every(Number.isFinite)) return undefined;
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const reach = Math.min(
    dx ? ((dx > 0 ? width - 4 : 4) - from[0]) / dx : Infinity,
    dy ? ((dy > 0 ? height - 4 : 4) - from[1]) / dy : Infinity,
  );
  pen.save();
  pen.translate(from[0] + reach * dx, from[1] + reach * dy);
  pen.rotate(Math.atan2(dy, dx));
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(3, 0);
  pen.lineTo(-13, 8);
  pen.lineTo(-13, -8);
  pen.fill();
  pen.restore();
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
  const fits = kept?.width === pen.canvas.width && kept.height === pen.canvas.height;
  if (landscape.moves || !fits || landscape.dark !== darkness.matches) {
    landscape.dark = darkness.matches;
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
  const { low, high } = theme();
  rows.flat().forEach((loss, n) => {
    let above = 0;
    while (above < LEVELS && levels[above] < loss) above++;
    const shades = low.map((shade, i) => shade + ((high[i] - shade) * above) / LEVELS);
    image.data.set([...shades, 255], 4 * n);
  });
  small.putImageData(image, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(shade, 0, 0, width, height);
}

function drawContours(pen, rows, levels, width, height) {
  pen.strokeStyle = theme().contour;
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

function drawScale(pen, { view, names = ["x", "y"] }, place, width, height) {
  const [left, right, bottom, top] = view;
  pen.fillStyle = theme().ink;
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "center";
  for (const x of ticksOf({ low: left, high: right }, 5)) {
    const [at] = place([x, 0]);
    pen.fillRect(at - 0.5, height - 5, 1, 5);
    if (at > 30 && at < width - 8 * names[0].length - 22) pen.fillText(numberText(x), at, height - 9);
  }
  pen.textAlign = "right";
  pen.fillText(names[0], width - 6, height - 9);
  pen.textAlign = "left";
  for (const y of ticksOf({ low: bottom, high: top }, 5)) {
    const [, at] = place([0, y]);
    pen.fillRect(0, at - 0.5, 5, 1);
    if (at > 24 && at < height - 24) pen.fillText(numberText(y), 9, at + 4);
  }
  pen.fillText(names[1], 8, 15);
}

function drawPath(pen, points, look) {
  const far = 1e5; // what is so far outside has left for good
  pen.strokeStyle = colourOf(look);
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

function cross(pen, [x, y]) {
  pen.strokeStyle = theme().ink;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const s of [-1, 1]) {
    pen.moveTo(x - 6, y - 6 * s);
    pen.lineTo(x + 6, y + 6 * s);
  }
  pen.stroke();
}
