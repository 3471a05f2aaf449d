"""Trains one run to its end again and again while killing it; started by ``test_kill.py`` in a process of its own.

    python killed.py SPEC FOLDER KILLS SEED

Each attempt is a forked child (torch is imported once) that saves as often as it can and dies by SIGKILL at a random
moment; after each kill whatever checkpoint is there must load.  A run that came to its end must hold the parameters of an
undisturbed one, bit for bit, and no file that an undisturbed one lacks.  Prints a JSON object of counts.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

import dltc
from dltc.runtime import checkpoint, trainer
from dltc.runtime.run_record import CHECKPOINT_FOLDER, STATE_FILE

LONGEST = 0.7  # seconds until the kill; an undisturbed attempt takes about as long


def attempt(spec: Path, folder: Path) -> None:
    """Train, from the checkpoint if there is one, and leave the process."""
    there = (folder / CHECKPOINT_FOLDER / STATE_FILE).is_file()
    code = 1
    try:
        dltc.train(spec, folder, resume=there, force=not there, quiet=True)
        code = 0
    finally:
        if code:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)


def main(spec: Path, root: Path, kills: int, seed: int) -> None:
    """Kill so many attempts, over as many runs as that takes."""
    torch.set_num_threads(1)
    trainer.SAVE_SECONDS = 0.0
    whole = root / "whole"
    expected = dltc.train(spec, whole, quiet=True).model.state_dict()
    files = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file()}
    program = dltc.compile(spec)
    rng = random.Random(seed)
    count = {"killed": 0, "loaded": 0, "runs": 0, "resumed_steps": 0}
    folder, reached = root / "run", 0
    while count["killed"] < kills or folder.exists():
        child = os.fork()
        if child == 0:
            attempt(spec, folder)
        if count["killed"] < kills:
            time.sleep(rng.uniform(0, LONGEST))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL:
            count["killed"] += 1
            if (folder / CHECKPOINT_FOLDER / STATE_FILE).is_file():
                model = program.load(seed=0, examples=1)
                step = checkpoint.restore(folder / CHECKPOINT_FOLDER, model)["step"]
                assert step >= reached, f"a checkpoint of step {step} after one of step {reached}"
                count["loaded"] += 1
                count["resumed_steps"] += step > 0
                reached = step
            continue
        assert code == 0, f"an attempt ended with {code}"
        found = program.load(seed=0, examples=1)
        checkpoint.restore(folder / CHECKPOINT_FOLDER, found)
        for path, value in found.state_dict().items():
            assert torch.equal(value, expected[path]), f"{path} differs from the undisturbed run's"
        names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert names == files, f"files differ: {sorted(names ^ files)}"
        count["runs"] += 1
        shutil.rmtree(folder)
        reached = 0
    print(json.dumps(count))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
