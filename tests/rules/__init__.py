"""docs/RULES.md as tests: a file for each rule, and a test for each sentence.

The docstring of a test is the sentence or the sentences that it proves, word for word. `test_every_sentence.py` checks
that each sentence of the page has a test and that its problems are compared there. A rule is tested once here, in the
simplest situation. Races and random histories are in `tests/proofs`, and each feature has its own tests besides.
"""
