"""The models of the project, one module or package each; nothing is imported until asked for."""
