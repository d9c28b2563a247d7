"""config.pbtxt: reading it with the place of every value, and printing it."""
