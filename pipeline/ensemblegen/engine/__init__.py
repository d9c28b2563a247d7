"""A real tritonserver on this machine: find it, start it, watch it, stop it."""
