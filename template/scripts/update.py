# {% include "hooks/update.py" %}
