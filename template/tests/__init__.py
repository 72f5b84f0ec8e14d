"""The tests mirror app/: what a client sees, the rules, the queries; live/ runs processes."""
