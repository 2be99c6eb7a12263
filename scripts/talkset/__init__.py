"""Shared code of the talkset workflow; every script and rule imports it under this one name."""

__version__ = "0.1.0"
