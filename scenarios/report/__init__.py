"""The report: one page of standings, curves and runs that opens from disk."""

from .site import write_report

__all__ = ["write_report"]
