// Light and dark: what is drawn on a canvas takes its colours from here. A look's colour is a pair.
const darkness = matchMedia("(prefers-color-scheme: dark)");
const THEMES = {
  light: { low: [255, 255, 255], high: [208, 220, 236], contour: "#8796a8", ink: "#3c3c40", page: "#ffffff" },
  dark: { low: [27, 29, 33], high: [58, 68, 86], contour: "#66758a", ink: "#d6d6d2", page: "#17181a" },
};

function theme() {
  return darkness.matches ? THEMES.dark : THEMES.light;
}

function colourOf(look) {
  return look.colour[darkness.matches ? 1 : 0];
}

// A canvas's pen in CSS pixels, at the screen's own resolution.
function penOf(canvas) {
  const dots = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * dots);
  canvas.height = Math.round(canvas.clientHeight * dots);
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  pen.lineJoin = "round";
  return pen;
}
