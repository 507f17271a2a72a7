// The landscapes. Each has its loss, least at 0, and what the optimizers see of its gradient at
// step t = 0, 1, …; where it is least; the part of the plane that is shown, from left to right and
// from bottom to top; where to start; and for each optimizer a learning rate that gets on here.
const landscapes = {};

landscapes.ravine = {
  loss: ([x, y]) => (x ** 2 + 100 * y ** 2) / 2,
  gradient: ([x, y]) => [x, 100 * y],
  minima: () => [[0, 0]],
  view: [-2.2, 2.2, -1.65, 1.65],
  start: [-1.9, 1.1],
  rates: {
    sgd: 0.0198, momentum: 0.03, "heavy-ball": 0.003, adagrad: 0.5,
    rmsprop: 0.03, adam: 0.1, adamw: 0.1,
  },
};

landscapes.saddle = {
  loss: ([x, y]) => 5 * x ** 2 + (y ** 2 - 1) ** 2 / 4,
  gradient: ([x, y]) => [10 * x, y ** 3 - y],
  minima: () => [[0, 1], [0, -1]],
  view: [-2.2, 2.2, -1.65, 1.65],
  start: [1.6, 0.001],
  rates: {
    sgd: 0.05, momentum: 0.5, "heavy-ball": 0.02, adagrad: 0.5,
    rmsprop: 0.03, adam: 0.1, adamw: 0.1,
  },
};

landscapes.beale = {
  loss: ([x, y]) =>
    (1.5 - x + x * y) ** 2 + (2.25 - x + x * y ** 2) ** 2 + (2.625 - x + x * y ** 3) ** 2,
  gradient([x, y]) {
    const [a, b, c] = [1.5 - x + x * y, 2.25 - x + x * y ** 2, 2.625 - x + x * y ** 3];
    return [
      2 * a * (y - 1) + 2 * b * (y ** 2 - 1) + 2 * c * (y ** 3 - 1),
      2 * a * x + 4 * b * x * y + 6 * c * x * y ** 2,
    ];
  },
  minima: () => [[3, 0.5]],
  view: [-1.6, 4.4, -2.25, 2.25],
  start: [0.8, 1.6],
  rates: {
    sgd: 0.02, momentum: 0.06, "heavy-ball": 0.003, adagrad: 0.5,
    rmsprop: 0.05, adam: 0.2, adamw: 0.2,
  },
};

landscapes.rosenbrock = {
  loss: ([x, y]) => (1 - x) ** 2 + 100 * (y - x ** 2) ** 2,
  gradient: ([x, y]) => [2 * (x - 1) - 400 * x * (y - x ** 2), 200 * (y - x ** 2)],
  minima: () => [[1, 1]],
  view: [-2, 2, -1, 2],
  start: [-1.2, 1],
  rates: {
    sgd: 0.002, momentum: 0.02, "heavy-ball": 0.001, adagrad: 0.5,
    rmsprop: 0.05, adam: 0.3, adamw: 0.3,
  },
};

landscapes.noisy = {
  loss: ([x, y]) => (x ** 2 + 10 * y ** 2) / 2,
  gradient([x, y], t) {
    const [a, b] = noise(t);
    return [x + 2 * a, 10 * y + 2 * b];
  },
  minima: () => [[0, 0]],
  view: [-2.2, 2.2, -1.65, 1.65],
  start: [-1.9, 1.3],
  rates: {
    sgd: 0.05, momentum: 0.05, "heavy-ball": 0.002, adagrad: 0.5,
    rmsprop: 0.05, adam: 0.1, adamw: 0.1,
  },
};

landscapes.drifting = {
  loss: ([x, y], t) => ((x - centre(t)[0]) ** 2 + 10 * (y - centre(t)[1]) ** 2) / 2,
  gradient: ([x, y], t) => [x - centre(t)[0], 10 * (y - centre(t)[1])],
  minima: (t) => [centre(t)],
  view: [-2.2, 2.2, -1.65, 1.65],
  start: [-1.9, -1.3],
  rates: {
    sgd: 0.1, momentum: 1, "heavy-ball": 0.05, adagrad: 2,
    rmsprop: 0.05, adam: 0.5, adamw: 0.5,
  },
  moves: true,
};

// Once round a circle in 500 steps.
function centre(t) {
  const angle = (2 * Math.PI * t) / 500;
  return [1.2 * Math.cos(angle), 1.2 * Math.sin(angle)];
}

// Two independent numbers from the normal distribution, the same for every optimizer at step t: two
// hashes of t as uniform numbers, and Box and Muller's formula (1958).
function noise(t) {
  const [u, w] = [2 * t + 1, 2 * t + 2].map((n) => (hash(n) + 0.5) / 2 ** 32);
  const radius = Math.sqrt(-2 * Math.log(u));
  return [radius * Math.cos(2 * Math.PI * w), radius * Math.sin(2 * Math.PI * w)];
}

// The last mixing of MurmurHash3 (Appleby 2011), on 32 bits.
function hash(n) {
  n = Math.imul(n ^ (n >>> 16), 0x85ebca6b);
  n = Math.imul(n ^ (n >>> 13), 0xc2b2ae35);
  return (n ^ (n >>> 16)) >>> 0;
}
