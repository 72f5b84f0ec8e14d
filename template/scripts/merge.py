# {% include "hooks/merge.py" %}
