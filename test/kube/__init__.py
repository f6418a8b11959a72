"""The API server: the pinned real one's build, and the contract it shares with its stand-in."""
