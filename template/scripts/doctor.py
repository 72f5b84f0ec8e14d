# {% include "hooks/doctor.py" %}
