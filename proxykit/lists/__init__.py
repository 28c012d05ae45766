"""Lists of a million entries: judged line by line in a process of their own, looked up in place."""
