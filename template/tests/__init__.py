"""The tests mirror app/: what a client sees, the rules, the queries, then the whole under load."""
