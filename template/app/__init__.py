"""The service: what it is called and what it is for."""

# {% include "includes/identity.jinja" %}
