"""The runner: scenario × agent × seed becomes a run folder and a row of the leaderboard, and a killed run goes on."""

from .carrying_out import ROOT, resume, run
from .checks import SEED as CHECK_SEED
from .folder import DEMONSTRATIONS
from .interruption import Stopped
from .plan import Plan, choose_device, read_plan
from .scoring import EVALUATION_SEED, load_agent, score_run
from .training import SEED_SPAN, OnReport

__all__ = [
    "CHECK_SEED",
    "DEMONSTRATIONS",
    "EVALUATION_SEED",
    "ROOT",
    "SEED_SPAN",
    "OnReport",
    "Plan",
    "Stopped",
    "choose_device",
    "load_agent",
    "read_plan",
    "resume",
    "run",
    "score_run",
]
