# {% include "hooks/bootstrap.py" %}
