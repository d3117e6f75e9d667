"""This host's devices, files, locks and commands: one small module per outside thing."""
