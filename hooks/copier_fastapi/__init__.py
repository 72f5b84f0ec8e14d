"""Tool of the template: updates a service, compares it with the template, deletes the example."""
