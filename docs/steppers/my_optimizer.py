"""An optimizer that `python -m jaxopt_notes.identify --command` can drive. Plain Python.

    python -m jaxopt_notes.identify --command "python docs/steppers/my_optimizer.py"

Replace `update` by your own. Each line of the input is a JSON object; each answer is one too.
"""

import json
import sys

LEARNING_RATE, BETA = 0.01, 0.9


def update(p, g, v):
    """Nesterov's momentum, for one number: the new parameter and the new velocity."""
    v = BETA * v + g
    return p - rate * (g + BETA * v), v


params, velocity, rate = {}, {}, LEARNING_RATE
for line in sys.stdin:
    asked = json.loads(line)
    answer = {"ok": True}
    if "start" in asked:
        params, rate = asked["start"], LEARNING_RATE
        velocity = {name: [0.0] * len(p) for name, p in params.items()}
        answer = {"params": params}
    elif "step" in asked:
        for name, g in asked["step"].items():
            if g is not None:  # an array without a gradient stays as it is
                pairs = [update(*each) for each in zip(params[name], g, velocity[name])]
                params[name], velocity[name] = map(list, zip(*pairs))
        answer = {"params": params}
    elif "learning_rate" in asked:
        rate = asked["learning_rate"]
    elif "save" in asked:
        answer = {"state": velocity}
    elif "load" in asked:
        velocity = asked["load"]
    print(json.dumps(answer), flush=True)
