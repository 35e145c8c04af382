"""Hold two measurements of one gradient against each other, and say what probably happened.

Requirements:
    Values in, values out: nothing here evaluates, and nothing reads a file.
"""
