// Moves time: play, pause, one step, back to the start. Space plays and pauses wherever the focus
// is, but in a field and on a control, which have a use of their own for it.
const player = { steps: 0, most: 0, show: () => {} };

const controls = {
  play: document.getElementById("play"),
  speed: document.getElementById("speed"),
  pace: document.getElementById("pace"),
  steps: document.getElementById("steps"),
};

function pace() {
  return rounded(10 ** Number(controls.speed.value));
}

function showPace() {
  controls.pace.textContent = pace();
  controls.speed.setAttribute("aria-valuetext", pace());
}

function isPlaying() {
  return controls.play.hasAttribute("data-playing");
}

let last = 0;
let owed = 0;

function play(playing) {
  controls.play.toggleAttribute("data-playing", playing);
  if (!playing) return;
  if (player.steps >= player.most) player.steps = 0;
  [last, owed] = [performance.now(), 0];
  to(player.steps);
  requestAnimationFrame(tick);
}

function tick(time) {
  if (!isPlaying()) return;
  owed += (Math.max(0, Math.min(time - last, 100)) / 1000) * pace();
  last = time;
  const whole = Math.floor(owed);
  owed -= whole;
  if (whole) to(player.steps + whole);
  if (player.steps >= player.most) play(false);
  else requestAnimationFrame(tick);
}

function to(steps) {
  player.steps = Math.min(steps, player.most);
  controls.steps.textContent = player.steps;
  player.show();
}

controls.play.addEventListener("click", () => play(!isPlaying()));
document.getElementById("step").addEventListener("click", () => {
  play(false);
  to(player.steps + 1);
});
document.getElementById("reset").addEventListener("click", () => {
  play(false);
  to(0);
});
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, textarea, select, button, summary, a");
  if (event.key !== " " || busy) return;
  event.preventDefault();
  play(!isPlaying());
});
controls.speed.addEventListener("input", showPace);
showPace();
