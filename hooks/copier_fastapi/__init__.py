"""The tool of the template: what services run to update, to compare, and to begin."""
