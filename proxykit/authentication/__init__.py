"""Who asks: credentials, the checkers that verify them, and what is remembered of the answers."""
