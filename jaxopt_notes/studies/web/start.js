// The start is moved by dragging it, by a click elsewhere on the map, and by the arrow keys.
// A finger that is put elsewhere scrolls the page, so only the start itself can be dragged by it.
function movableStart(canvas, { view, start, moved, begun }) {
  let dragging = false;
  let first = null;

  const there = (event) => {
    const [left, right, bottom, top] = view();
    const box = canvas.getBoundingClientRect();
    return [
      left + ((right - left) * (event.clientX - box.left)) / box.width,
      top + ((bottom - top) * (event.clientY - box.top)) / box.height,
    ];
  };
  const isOnStart = (event) => {
    const [left, right, bottom, top] = view();
    const [x, y] = there(event);
    const across = ((x - start()[0]) / (right - left)) * canvas.clientWidth;
    const up = ((y - start()[1]) / (top - bottom)) * canvas.clientHeight;
    return Math.hypot(across, up) < 24;
  };

  canvas.addEventListener("touchstart", (event) => isOnStart(event.touches[0]) && event.preventDefault(), {
    passive: false,
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    first = [event.clientX, event.clientY];
    dragging = isOnStart(event);
    if (dragging || event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!first) return;
    const far = Math.hypot(event.clientX - first[0], event.clientY - first[1]) > 4;
    if (far && event.pointerType === "mouse") dragging = true;
    if (dragging && far) moved(there(event));
  });
  canvas.addEventListener("pointercancel", () => (first = null));
  canvas.addEventListener("pointerup", (event) => {
    if (!first) return;
    const still = Math.hypot(event.clientX - first[0], event.clientY - first[1]) <= 4;
    first = null;
    if (still && !isOnStart(event)) begun(there(event));
  });
  canvas.addEventListener("keydown", (event) => {
    const [left, right, bottom, top] = view();
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key in move) {
      const [x, y] = move[event.key];
      const size = event.shiftKey ? 0.005 : 0.025;
      moved([start()[0] + x * size * (right - left), start()[1] + y * size * (top - bottom)]);
    } else if (event.key === "Enter") {
      begun([...start()]);
    } else {
      return;
    }
    event.preventDefault();
  });
}
