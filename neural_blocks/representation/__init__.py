"""Blocks that embed, compare and look inside."""
