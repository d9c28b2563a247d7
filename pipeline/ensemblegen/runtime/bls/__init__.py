"""A model that calls others: the runtime of steps with `when` and `map`, beside what it shares."""
