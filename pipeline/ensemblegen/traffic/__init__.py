"""What passes between steps: who writes and reads it, its bytes, where it lies, what copies it."""
