"""Why a number differs: two answers to one question, the facts in which they differ, and what each moves."""
