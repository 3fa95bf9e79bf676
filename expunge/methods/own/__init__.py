"""Methods of the user's own: how one is found, asked in a process of its own, and what it may return."""

from expunge.methods.own.method import from_function, known_method, user_method

__all__ = ["from_function", "known_method", "user_method"]
