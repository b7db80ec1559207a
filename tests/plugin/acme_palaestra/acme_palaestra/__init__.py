"""What a package of somebody else's adds to Palaestra; importing it loads nothing heavy."""

from pathlib import Path


def register() -> None:
    """Called once, at ``import palaestra``."""
    import palaestra.agents
    import palaestra.envs
    import palaestra.neural_blocks
    import palaestra.scenarios

    palaestra.envs.register("acme/Lamp-v0", "acme_palaestra.lamp:Lamp")
    palaestra.agents.register("acme/learner", "acme_palaestra.learner:Learner")
    palaestra.neural_blocks.register_encoder("acme/halves", "acme_palaestra.blocks:Halves")
    palaestra.neural_blocks.register_memory("acme/trace", "acme_palaestra.blocks:Trace")
    palaestra.scenarios.register(Path(__file__).parent / "scenarios")
