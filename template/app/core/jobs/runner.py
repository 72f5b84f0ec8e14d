"""Job runner of this service."""

# {% if cpu_jobs == "celery" %}
from app.core.jobs.celery import CeleryQueue

Runner = CeleryQueue
# {% else %}
from app.core.jobs.process_pool import ProcessPool

Runner = ProcessPool
# {% endif %}
