"""From the words of a question to a case: names resolved, defaults filled in, nonsense refused."""
