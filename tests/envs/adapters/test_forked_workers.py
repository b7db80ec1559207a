"""Environments in forked workers, after their parent has computed with several threads.

In a process of its own, because the tests compute with one thread.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from palaestra.envs import ids

PARENT = """
import multiprocessing, sys, warnings
import torch
warnings.simplefilter("ignore")
torch.set_num_threads(4)
torch.randn(400, 400) @ torch.randn(400, 400)
torch.randn(2**20).sort()
torch.nn.functional.conv2d(torch.randn(32, 8, 32, 32), torch.randn(8, 8, 3, 3))
assert torch.get_num_threads() == 4
"""
WORKERS = """
import gymnasium, palaestra

def play(ids):
    for id in ids:
        env = gymnasium.make(id)
        env.action_space.seed(0)
        env.reset(seed=0)
        for _ in range(3):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        try:
            env.unwrapped.expert_action()
        except NotImplementedError:
            pass
        print(id, flush=True)

worker = multiprocessing.get_context("fork").Process(target=play, args=(sys.argv[1:],))
worker.start()
worker.join(400)  # a worker that waits for threads waits for ever
worker.kill()
"""
ASYNC = """
import gymnasium, palaestra
envs = gymnasium.make_vec("palaestra/Evade-v0", 2, vectorization_mode="async", vector_kwargs={"context": "fork"})
envs.reset(seed=0)
for _ in range(3):
    envs.step(envs.action_space.sample())
envs.close()
"""
SUBPROC = """
from stable_baselines3.common.vec_env import SubprocVecEnv

def make():
    import gymnasium, palaestra  # the parent does not know the suite
    return gymnasium.make("palaestra/Denoise-v0")

envs = SubprocVecEnv([make, make], start_method="fork")
envs.reset()
for _ in range(3):
    envs.step([envs.action_space.sample() for _ in range(2)])
envs.close()
"""


def run(program, *arguments):
    command = [sys.executable, "-c", PARENT + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_every_environment_plays_in_a_forked_child():
    done = run(WORKERS, *ids())
    assert done.stdout.split() == ids(), done.stderr[-2000:]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("program", [ASYNC, SUBPROC], ids=["AsyncVectorEnv", "SubprocVecEnv"])
def test_vectors_of_forked_workers_play(program):
    done = run(program)
    assert done.returncode == 0, done.stderr[-2000:]
