"""Measurements of the agent, and of what it is compared with. See scripts/bench."""
