"""One run of pytest: what tests say, which baseline they meet, and what is written at the end.

Requirements:
    pytest is known here and in the doors beside this folder (`plugin`, `snapshot`), and nowhere
    else. One process writes: the one that the user started.
"""
