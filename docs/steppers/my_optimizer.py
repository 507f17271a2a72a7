"""An optimizer that `python -m jaxopt_notes.identify --command` can drive. Plain Python.

    python -m jaxopt_notes.identify --command "python docs/steppers/my_optimizer.py"

Each line of the input is a JSON object; each answer is one too. With a file of docs/vectors it
checks itself instead:

    python docs/steppers/my_optimizer.py docs/vectors/keras.sgd-3.json

Replace `update` by your own.
"""

import json
import os
import sys

LEARNING_RATE, BETA = 0.01, 0.9
params, velocity, rate = {}, {}, LEARNING_RATE


def update(p, g, v):
    """Nesterov's momentum, for one number: the new parameter and the new velocity."""
    v = BETA * v + g
    return p - rate * (g + BETA * v), v


def answer(asked):
    global params, velocity, rate
    if "start" in asked:
        params, rate = asked["start"], LEARNING_RATE
        velocity = {name: [0.0] * len(p) for name, p in params.items()}
        return {"params": params}
    if "step" in asked:
        for name, g in asked["step"].items():
            if g is not None:  # an array without a gradient stays as it is
                pairs = [update(*each) for each in zip(params[name], g, velocity[name])]
                params[name], velocity[name] = map(list, zip(*pairs))
        return {"params": params}
    if "save" in asked:
        return {"state": velocity}
    velocity, rate = asked.get("load", velocity), asked.get("learning_rate", rate)
    return {"ok": True}


def off(path):
    """The largest distance from the expected parameters, in units of the tolerance."""
    with open(path) as file:
        case = json.load(file)
    with open(os.path.join(os.path.dirname(path), case["gradients"])) as file:
        shared = json.load(file)
    answer({"start": shared["start"]})
    answer({"learning_rate": case["keywords"]["learning_rate"]})
    worst = 0.0
    for step in range(1, shared["steps"] + 1):
        answer({"step": {name: rows[step - 1] for name, rows in shared["gradients"].items()}})
        for name, values in case["expected"].get(str(step), {}).items():
            for mine, value, scale in zip(params[name], values, case["scale"][name]):
                worst = max(worst, abs(mine - value) / (scale or 1))
    return worst / case["tolerance"]["float64"]


if len(sys.argv) > 1:
    print(f"{sys.argv[1]}: {off(sys.argv[1]):.2g} of the tolerance")
else:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
