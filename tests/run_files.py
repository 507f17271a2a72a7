"""What the tests read of a run's folder."""

import json
import os


def rows(folder):
    """The rows of the run in a folder."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_seconds(found):
    """Rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def shown_files(folder):
    """The names in a folder, without hidden ones."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
