"""What runs the jobs of this service, or gets them run."""

# {% if cpu_jobs == "celery" %}
from app.core.jobs.celery import CeleryQueue

Runner = CeleryQueue
# {% else %}
from app.core.jobs.process_pool import ProcessPool

Runner = ProcessPool
# {% endif %}
