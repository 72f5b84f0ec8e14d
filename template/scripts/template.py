# {% include "hooks/template.py" %}
