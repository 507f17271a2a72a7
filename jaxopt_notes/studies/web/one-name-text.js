// What the race says in words: who takes which path, each framework's formula, and its line.
function finding(groups) {
  const joined = (names_, i) => names_.map((name) => names[name][i]).join(i ? "、" : ", ");
  const count = groups.length;
  const at = player.steps;
  if (count === 1) {
    return both(
      `<strong>All five take one path</strong> in ${at} steps.`,
      `<strong>五者走同一条路</strong>（${at} 步之内）。`,
    );
  }
  const parts = groups.slice(1);
  return both(
    `<strong>${count} different paths</strong> in ${at} steps: ` +
      `${groups.map((g) => joined(g.names, 0)).join(" | ")}. ` +
      parts.map((g) => `${joined(g.names, 0)} ${g.names.length > 1 ? "part" : "parts"} at step ${g.parts}`).join("; ") +
      ".",
    `${at} 步之内出现 <strong>${count} 条不同的轨迹</strong>：` +
      `${groups.map((g) => joined(g.names, 1)).join(" | ")}。` +
      parts.map((g) => `${joined(g.names, 1)} 于第 ${g.parts} 步分开`).join("；") +
      "。",
  );
}

function showRow({ name, line, agreed, terms, equation, path }, landscape) {
  const row = document.querySelector(`[data-framework=${name}]`);
  const letters = ["β", "β1", "β2", "μ"].filter((letter) => letter in terms && terms[letter]);
  const numbers = letters.map((letter) => `${numbered[letter].letter} = ${exactly(terms[letter])}`);
  row.querySelector(".formula").textContent = [formula(equation, terms), ...numbers].join(", ");
  const loss = numberText(landscape.loss(path[path.length - 1], 0));
  row.querySelector(".loss").innerHTML = both(`loss ${loss}`, `损失 ${loss}`);
  row.toggleAttribute("data-followed", !line);
  row.querySelector(".agree").setAttribute("aria-pressed", Boolean(agreed));
  row.querySelector(".note").innerHTML = line ? note(name, line) : followedNote(name);
  row.querySelector("code").textContent = line ? line.line : READABLE.includes(name) ? TRANSLATE : "";
}

// A torch or a Keras optimizer itself can be read.
const READABLE = ["torch", "keras"];
const TRANSLATE = "jaxopt_notes.conventions.translate(optimizer)";

function followedNote(name) {
  if (!READABLE.includes(name)) return both("The others are made to follow it.", "让其余各项与它一致。");
  return both(
    `The others are made to follow it. In JAX, this reads every setting off a ${names[name][0]} optimizer:`,
    `让其余各项与它一致。在 JAX 中，这一行从 ${names[name][1]} 的优化器对象读取全部设置：`,
  );
}

function note(name, { own, terms }) {
  const [mine, other] = [names[name], names[now.follow]];
  if (own && (terms.rate ?? 1) !== 1) {
    return both(
      `Sum and average differ by 1 − β: with this learning rate it follows ${other[0]}:`,
      `求和与滑动平均相差因子 1 − β：换用此学习率即与 ${other[1]} 一致：`,
    );
  }
  if (own) {
    return both(
      `With its own arguments it follows ${other[0]}:`,
      `用它自己的参数即可与 ${other[1]} 一致：`,
    );
  }
  return name === "notes"
    ? both(`In JAX, this follows ${other[0]}:`, `在 JAX 中，这一行与 ${other[1]} 一致：`)
    : both(
        `No argument of ${mine[0]} does this. In JAX, this follows ${other[0]}:`,
        `${mine[1]} 没有这样的参数。在 JAX 中，这一行与 ${other[1]} 一致：`,
      );
}

function showSliders(five) {
  for (const [letter, slider] of Object.entries(sliders)) {
    if (letter in shared) {
      slider.show(now[letter]);
      continue;
    }
    const own = [...new Set(five.map(({ name }) => termsOf(now.family, name, {})[letter] ?? 0))];
    const set = letter in now.numbers;
    const range = [Math.min(...own), Math.max(...own)].map(exactly);
    const text = range[0] === range[1] ? range[0] : range.join(" – ");
    slider.show(set ? now.numbers[letter] : Math.max(...own), set ? exactly(now.numbers[letter]) : text);
  }
}
