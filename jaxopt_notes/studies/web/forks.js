// Which paths stay together, and where they part.

// The first step at which two paths are farther apart than `visible`; Infinity if there is none.
// Numbers beyond all bounds (NaN) are apart from all that are not.
function parting(a, b, visible) {
  for (let t = 0; t < a.length; t++) {
    const [finiteA, finiteB] = [a[t], b[t]].map((p) => p.every(Number.isFinite));
    if (finiteA !== finiteB) return t;
    if (finiteA && Math.hypot(a[t][0] - b[t][0], a[t][1] - b[t][1]) > visible) return t;
  }
  return Infinity;
}

// The groups of names whose paths stay with the group's first one, and for each group but the first
// the step at which it leaves the earlier group that it stayed with longest.
function forks(paths, visible) {
  const groups = [];
  for (const [name, path] of Object.entries(paths)) {
    const home = groups.find((group) => parting(group.path, path, visible) === Infinity);
    if (home) home.names.push(name);
    else groups.push({ names: [name], path, parts: undefined });
  }
  groups.forEach((group, n) => {
    const steps = groups.slice(0, n).map((other) => parting(other.path, group.path, visible));
    if (n) group.parts = Math.max(...steps);
  });
  return groups;
}
