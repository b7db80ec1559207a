"""The runner: scenario × agent × seed becomes a run folder and a row of the leaderboard, and a killed run goes on."""

from ..seeds import CHECK_SEED, EVALUATION_SEED, SEED_SPAN
from .carrying_out import ROOT, resume, run
from .folder import DEMONSTRATIONS
from .interruption import Stopped
from .plan import Plan, choose_device, read_plan
from .scoring import load_agent, score_run
from .together import run_together
from .training import OnReport

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
    "run_together",
    "score_run",
]
