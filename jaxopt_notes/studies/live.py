"""Figures that the reader moves, for the page of their study."""


def live(name: str) -> str:
    """HTML of a study's live figure, or ''."""
    return ""
