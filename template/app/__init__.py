"""Name and description of the service."""

# {% include "includes/identity.jinja" %}
