"""The proof: every optimizer and setting against every oracle, and mutants that must be caught."""
