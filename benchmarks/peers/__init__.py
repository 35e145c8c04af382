"""Other ways to look at gradients: what they cost, and which faults they catch."""
