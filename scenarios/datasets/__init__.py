"""Data sets of Minari: what agents imitate, and what they leave to be imitated."""
