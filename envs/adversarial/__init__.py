"""Environments of attack and defence, and the games of two players."""
