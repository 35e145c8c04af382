"""Follow an arm through three cameras: geometry, posture and the PyMC model that joins them."""
