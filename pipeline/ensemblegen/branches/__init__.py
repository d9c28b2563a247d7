"""`when`, `else` and `map`: their words, and what they make of the graph and of the plan."""
